import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { withFolder } from "./run-command.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What a package may be licensed under to be installed with highrank; the last offers MIT. */
const LICENCES = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "WordNet", "(MIT OR CC0-1.0)"];

/**
 * Packages with install scripts, none of which runs here; docs/supply-chain.md tells what they would do. By folder:
 * the site's tools are installed by themselves.
 */
const INSTALL_SCRIPTS = { "": ["koffi", "onnxruntime-node"], "site/": ["protobufjs"] };
const FOLDERS = Object.entries(INSTALL_SCRIPTS);

/** Biome's programs for other platforms, locked by version alone; npm installs none of them but that of its platform. */
const WITHOUT_HASH = /^node_modules\/@biomejs\/cli-/;

interface LockedPackage {
  readonly version: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly dev?: true;
  readonly hasInstallScript?: true;
}

interface Component {
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly {
    readonly license?: { readonly id?: string; readonly name?: string };
    readonly expression?: string;
  }[];
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
}

interface Bom {
  readonly bomFormat: string;
  readonly specVersion: string;
  readonly serialNumber: string;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

let dependencies: Readonly<Record<string, string>>;
let optionalDependencies: Readonly<Record<string, string>>;
let locked: readonly (readonly [string, LockedPackage])[];
let bom: Bom;

/** The packages of a folder's lock file by their places. */
async function lockedIn(folder: string): Promise<[string, LockedPackage][]> {
  const { packages } = JSON.parse(await readFile(path.join(ROOT, folder, "package-lock.json"), "utf8"));
  return Object.entries<LockedPackage>(packages).filter(([location]) => location !== "");
}

beforeAll(async () => {
  const json = async (name: string) => JSON.parse(await readFile(path.join(ROOT, name), "utf8"));
  ({ dependencies, optionalDependencies } = await json("package.json"));
  locked = await lockedIn("");
  bom = await withFolder({}, async (folder) => {
    const file = path.join(folder, "sbom.json");
    await promisify(execFile)("npm", ["run", "--silent", "sbom", "--", file], { cwd: ROOT });
    return JSON.parse(await readFile(file, "utf8"));
  });
});

test("the bill of materials is CycloneDX and lists every package that is installed with highrank, by its hash", () => {
  expect(bom).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.5" });
  expect(bom.serialNumber).toMatch(/^urn:uuid:[0-9a-f-]{36}$/);
  expect(bom.metadata.component.name).toBe("highrank");
  const installed = locked.filter(([, { dev }]) => dev === undefined);
  const listed = bom.components.map(({ purl, hashes }) => [decodeURIComponent(purl), hashes]);
  expect(Object.fromEntries(listed)).toEqual(
    Object.fromEntries(
      installed.map(([location, { version, integrity }]) => {
        const content = Buffer.from(integrity!.replace("sha512-", ""), "base64").toString("hex");
        return [`pkg:npm/${location.split("node_modules/").at(-1)}@${version}`, [{ alg: "SHA-512", content }]];
      }),
    ),
  );
  const versions = Object.fromEntries(bom.components.map(({ name, version }) => [name, version]));
  expect(versions).toMatchObject({ ...dependencies, ...optionalDependencies });
});

test("docs/supply-chain.md tells how many packages there are", async () => {
  const page = await readFile(path.join(ROOT, "docs/supply-chain.md"), "utf8");
  const isMit = ({ licenses }: Component): boolean => licenses.length === 1 && licenses[0]!.license?.id === "MIT";
  expect(page).toContain(
    `${Object.keys(dependencies).length} direct dependencies and an optional one bring ${bom.components.length} packages`,
  );
  expect(page).toContain(`MIT (${bom.components.filter(isMit).length} packages)`);
});

test("the bill of materials tells who needs what, and each package is needed", () => {
  const refs = bom.components.map((component) => component["bom-ref"]);
  const needed = new Set(bom.dependencies.flatMap(({ dependsOn }) => dependsOn));
  expect([...needed].sort()).toEqual([...refs].sort());
  const own = bom.dependencies.find(({ ref }) => ref === bom.metadata.component["bom-ref"])!;
  expect([...own.dependsOn].sort()).toEqual(
    Object.entries({ ...dependencies, ...optionalDependencies })
      .map((entry) => entry.join("@"))
      .sort(),
  );
});

test("every licence is a permissive one", () => {
  const unknown = bom.components.filter(({ licenses }) => {
    const terms = licenses.map(({ license, expression }) => license?.id ?? license?.name ?? expression ?? "");
    return terms.length === 0 || !terms.every((term) => LICENCES.includes(term));
  });
  expect(unknown).toEqual([]);
});

test.each(FOLDERS)("the lock file of ./%s has a hash of every package and no address", async (folder) => {
  const packages = await lockedIn(folder);
  const hashless = packages.filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ""));
  expect(hashless.filter(([location, { dev }]) => !dev || !WITHOUT_HASH.test(location))).toEqual([]);
  // npm writes an address all the same where a package comes from elsewhere than a registry.
  const settings = await readFile(path.join(ROOT, folder, ".npmrc"), "utf8");
  expect(settings).toMatch(/^omit-lockfile-registry-resolved=true$/m);
  expect(packages.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
});

test.each(FOLDERS)(
  "no package of ./%s needs its install script: scripts are off, and few have one",
  async (folder, known) => {
    expect(await readFile(path.join(ROOT, folder, ".npmrc"), "utf8")).toMatch(/^ignore-scripts=true$/m);
    const packages = await lockedIn(folder);
    const scripted = packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([location]) => location);
    expect(scripted).toEqual(known.map((name) => `node_modules/${name}`));
    // What a script in the package itself says, whatever the lock file says of it.
    const found: string[] = [];
    let installed = 0;
    for (const [location] of packages) {
      const manifest = await readFile(path.join(ROOT, folder, location, "package.json"), "utf8").catch(() => null);
      if (manifest === null) continue; // for another platform
      installed++;
      const { name, scripts = {} } = JSON.parse(manifest);
      const files = await readdir(path.join(ROOT, folder, location));
      const isScripted = ["preinstall", "install", "postinstall"].some((script) => script in scripts);
      if (isScripted || files.includes("binding.gyp")) found.push(name);
    }
    if (folder !== "" && installed === 0) return; // the site's tools are not installed everywhere
    expect(found).toEqual(known);
  },
);
