import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { build } from "vite"; // a dependency of vitest
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const run = promisify(execFile);

interface Packed {
  readonly filename: string;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

let folder: string;
let project: string;
let tarball: string;
let packed: Packed;

// An empty project elsewhere, with the packed package installed.
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-package-"));
  project = path.join(folder, "project");
  await mkdir(project);
  await writeFile(path.join(project, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: ROOT });
  packed = JSON.parse(stdout)[0];
  tarball = path.join(folder, packed.filename);
  const install = ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", tarball];
  await run("npm", install, { cwd: project });
}, 300_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a module prints that runs in the project. */
async function outputOf(code: string): Promise<string> {
  await writeFile(path.join(project, "main.js"), code);
  return (await run(process.execPath, ["main.js"], { cwd: project })).stdout;
}

test("the package holds the build and its sources: no tests, no paths of this machine, not much", async () => {
  const names = packed.files.map((file) => file.path);
  const others = names.filter((name) => !/^(dist|src)\//.test(name));
  expect(others.sort()).toEqual(["LICENSE", "README.md", "bin/highrank.js", "package.json"]);
  expect(names.filter((name) => /test|golden/.test(name))).toEqual([]);
  expect(names).toContain("dist/index.d.ts");
  expect(packed.unpackedSize).toBeLessThan(10_000_000);
  const installed = path.join(project, "node_modules/highrank");
  const texts = names.map(async (name) => [name, await readFile(path.join(installed, name), "utf8")] as const);
  const revealing = (await Promise.all(texts)).filter(([, text]) => text.includes(ROOT) || text.includes(folder));
  expect(revealing.map(([name]) => name)).toEqual([]);
});

test("importing the package starts nothing and loads neither ONNX Runtime nor the command line", async () => {
  const output = await outputOf(`
    import { createRequire } from "node:module";
    const highrank = await import("highrank");
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    console.log(JSON.stringify({
      exports: Object.keys(highrank).length,
      unwanted: loaded.filter((name) => /onnxruntime|commander/.test(name)),
      native: process.report.getReport().sharedObjects.filter((name) => name.includes("onnxruntime")),
      sessions: highrank.liveSessionCount(),
      active: process.getActiveResourcesInfo().filter((name) => !/^(TTY|Pipe|FSReq|CloseReq)/.test(name)),
    }));`);
  const { exports, ...rest } = JSON.parse(output);
  expect(rest).toEqual({ unwanted: [], native: [], sessions: 0, active: [] });
  expect(exports).toBeGreaterThan(50);
});

test("the installed package computes", async () => {
  const output = await outputOf(`
    import { createRequire } from "node:module";
    import { add, tensor } from "highrank";
    console.log(...(await add(tensor([1, 2]), 1).data()));
    console.log(Object.keys(createRequire(import.meta.url).cache).some((name) => name.includes("onnxruntime")));`);
  // The second line shows that the test above would see ONNX Runtime.
  expect(output).toBe("2 3\ntrue\n");
});

/** Folders of the package that can be imported by their names. */
const ROOMS = readdirSync(path.join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .map((file) => /^([a-z]+)\/index\.ts$/.exec(file.replaceAll("\\", "/"))?.[1])
  .filter((room) => room !== undefined)
  .sort();

test("every room is a subpath whose names are those of the entry, and tensors compute without the entry", async () => {
  expect(ROOMS).toEqual(expect.arrayContaining(["adapters", "data", "formats", "nn", "optim", "quant"]));
  const output = await outputOf(`
    import { add } from "highrank/ops";
    import { tensor } from "highrank/tensor";
    console.log(...(await add(tensor([1, 2]), 1).data()));
    const entry = await import("highrank");
    for (const room of ${JSON.stringify(ROOMS)}) {
      const names = Object.entries(await import("highrank/" + room));
      // The entry's evaluate takes tensors too.
      const others = names.filter(([name, value]) => entry[name] !== value && name !== "evaluate");
      if (others.length > 0) console.log(room, others.map(([name]) => name));
    }
    await import("highrank/cli").catch(({ code }) => console.log(code));`);
  expect(output).toBe("2 3\nERR_MODULE_NOT_FOUND\n");
});

test("a bundle keeps what computes tensors and leaves out what is not used", async () => {
  await writeFile(
    path.join(project, "entry.js"),
    'import { tensor, add } from "highrank"; await add(tensor([1, 2]), 1).data();',
  );
  const { output } = (await build({
    root: project,
    configFile: false,
    logLevel: "silent",
    build: {
      ssr: "entry.js",
      write: false,
      minify: false,
      target: "esnext",
      rolldownOptions: { external: [/^onnxruntime/] },
    },
    ssr: { noExternal: ["highrank"] },
  })) as { output: readonly { readonly code?: string }[] };
  const code = output.map((part) => part.code ?? "").join("\n");
  expect(code).toContain("registerEvaluator(");
  expect(code).toContain('"ORT_DISABLE_TELEMETRY"');
  expect(code).not.toContain("BatchCursor");
});

test("npx highrank runs the command", async () => {
  const { version } = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8"));
  const { stdout } = await run("npx", ["--no-install", "highrank", "--version"], { cwd: project });
  expect(stdout).toBe(`${version}\n`);
});

test("npx highrank trains, and the command that it names next can be copied", async () => {
  await writeFile(path.join(project, "a.txt"), "The cat sat on the mat.\n\n".repeat(40));
  const size = "--model tiny --vocab-size 270 --sequence-length 16 --batch-size 2 --rank 4 --max-steps 4";
  const train = `--no-install highrank train --data a.txt --out run ${size}`;
  const { stdout } = await run("npx", train.split(" "), { cwd: project });
  const next = /^Next: npx (.*)$/m.exec(stdout)![1]!;
  const written = await run("sh", ["-c", `npx --no-install ${next}`], { cwd: project });
  expect(written.stdout).toMatch(/^The cat/);
});

test.each([
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
])("types resolve with module %s and moduleResolution %s", async (module, moduleResolution) => {
  const code = [
    `import { LoRAAdapter, loadModel, Rng, type Settings, train } from "highrank";`,
    `import { type LinearAdapter, LoRAAdapter as Same, MergeableLayer } from "highrank/adapters";`,
    ...ROOMS.map((room) => `export * as ${room}Room from "highrank/${room}";`),
    `export const adapter: LinearAdapter = new Same(4, 4, { rank: 2 }, new Rng(0));`,
    `export const layer: typeof MergeableLayer = MergeableLayer;`,
    `export const run = train({ model: "nano", data: "x.txt", rank: 16 }, { onStep: ({ loss }) => loss.toFixed(2) });`,
    `export const text: Promise<string> = loadModel(await run).then((model) => model.chat("Hello"));`,
    "// @ts-expect-error there is no such setting",
    `export const other = train({ maxStep: 1 });`,
    `export const rank: number = new LoRAAdapter(4, 4, { rank: 2 }, new Rng(0)).rank;`,
    `export const model: Settings["model"] = "nano";`,
    "// @ts-expect-error rank is a number, so the types were found",
    `export const wrong: string = new LoRAAdapter(4, 4, { rank: 2 }, new Rng(0)).rank;`,
  ];
  await writeFile(path.join(project, "types.ts"), code.join("\n"));
  // Declarations are checked too, and the project has no types of Node.js.
  const flags = ["--noEmit", "--strict", "--target", "es2023", "--skipLibCheck", "false", "--types", ""];
  const compiler = path.join(ROOT, "node_modules/typescript/bin/tsc");
  const args = [compiler, ...flags, "--module", module, "--moduleResolution", moduleResolution, "types.ts"];
  const { stdout } = await run(process.execPath, args, { cwd: project }).catch((error) => error);
  expect(stdout).toBe("");
});

test("without koffi, which is optional, the package works, and doctor says so in one quiet line", async () => {
  const [koffi, aside] = ["node_modules/koffi", "node_modules/.koffi"].map((name) => path.join(project, name));
  await rename(koffi!, aside!);
  try {
    const { stdout } = await run("npx", ["--no-install", "highrank", "doctor"], { cwd: project });
    expect(stdout).toMatch(/^ {2}cpu +works$/m);
    expect(stdout).toMatch(/^MPI +none, nor koffi; only several processes need it$/m);
    const train = "--no-install highrank train --data a.txt --out without --model tiny --vocab-size 270 --max-steps 1";
    await writeFile(path.join(project, "a.txt"), "The cat sat on the mat.\n\n".repeat(40));
    const flags = ["--sequence-length", "16", "--batch-size", "2", "--method", "full"];
    expect((await run("npx", [...train.split(" "), ...flags], { cwd: project })).stdout).toContain("without");
  } finally {
    await rename(aside!, koffi!);
  }
});

test("publint finds nothing to say", async () => {
  const bytes = await readFile(tarball);
  const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const { messages, pkg } = await publint({ pack: { tarball: content }, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
});

test("are the types wrong? No, as ES modules", async () => {
  const attw = path.join(ROOT, "node_modules/@arethetypeswrong/cli/dist/index.js");
  const args = [attw, tarball, "--profile", "esm-only", "--no-definitely-typed", "--no-color", "--no-emoji"];
  const { stdout, code } = await run(process.execPath, args).then(
    (result) => ({ ...result, code: 0 }),
    (error) => error,
  );
  expect(code, stdout).toBe(0);
  expect(stdout).toMatch(/node16 \(from ESM\) │ OK \(ESM\)/);
  expect(stdout).toMatch(/bundler +│ OK/);
});

test("docs/install.md tells how much is installed, and how to remove the binaries for other platforms", async () => {
  const page = await readFile(path.join(ROOT, "docs/install.md"), "utf8");
  const modules = path.join(project, "node_modules");
  const lock = JSON.parse(await readFile(path.join(modules, ".package-lock.json"), "utf8"));
  expect(page).toContain(`installs ${Object.keys(lock.packages).length} packages, `);
  const [, whole] = /packages, (\d+) MB\./.exec(page)!;
  expect(Math.abs((await megabytesIn(modules)) - Number(whole))).toBeLessThan(10);
  const [, command] = /^```bash\n(node -e .*)\n```$/m.exec(page)!;
  await run("bash", ["-c", command!], { cwd: project });
  const [, left] = /which leaves (\d+) MB:/.exec(page)!;
  // The figure is that of Linux x64.
  if (process.platform === "linux" && process.arch === "x64") {
    expect(Math.abs((await megabytesIn(modules)) - Number(left))).toBeLessThan(10);
  }
  const computed = await outputOf(
    'import { add, tensor } from "highrank"; console.log(...(await add(tensor([1, 2]), 1).data()));',
  );
  expect(computed).toBe("2 3\n");
});

async function megabytesIn(parent: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(parent, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(path.join(entry.parentPath, entry.name))).size;
  }
  return bytes / 1e6;
}
