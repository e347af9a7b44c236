import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import { expect, test } from "vitest";

/** Folders of src/, lowest first: each imports from itself and those before it. */
const LAYERS = [
  ...[
    "base",
    "platform",
    "kernels",
    "distributed",
    "tensor",
    "ops",
    "autograd",
    "compiler",
    "runtime",
    "nn",
    "quant",
    "adapters",
  ],
  ...[
    "optim",
    "models",
    "python",
    "jinja",
    "tokenizers",
    "chats",
    "data",
    "files",
    "gguf",
    "formats",
    "hub",
    "config",
    "programs",
    "loading",
  ],
  ...["relora", "runs", "training", "serving", "verbs", "studies", "cli"],
];
const MAY_IMPORT_NODE = ["platform", "cli"];

const IMPORT = /\b(?:from|import)\s*\(?\s*["']([^"'\n]+)["']/g;

function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT)].map((match) => match[1]!);
}

/** What is wrong with the imports of `file`, a path relative to src/. Files outside folders are the top: they may import all. */
function layerFaults(file: string, source: string): string[] {
  const folder = file.split("/")[0]!;
  if (!file.includes("/"))
    return importsOf(source)
      .filter((name) => name.startsWith("node:"))
      .map(nodeFault);
  const layer = LAYERS.indexOf(folder);
  if (layer < 0) return [`src/${file}: folder ${folder} has no place in the order ${LAYERS.join(", ")}`];
  return importsOf(source).flatMap((name) => {
    if (name.startsWith("node:")) return MAY_IMPORT_NODE.includes(folder) ? [] : [nodeFault(name)];
    if (!name.startsWith(".")) return [];
    const target = normalize(join(dirname(file), name));
    const targetLayer = target.includes("/") ? LAYERS.indexOf(target.split("/")[0]!) : Number.POSITIVE_INFINITY;
    if (targetLayer >= 0 && targetLayer <= layer) return [];
    return [`src/${file}: imports "${name}", but ${folder} is below it; only lower layers may be imported`];
  });

  function nodeFault(name: string): string {
    return `src/${file}: imports "${name}"; only ${MAY_IMPORT_NODE.join(" and ")} may, others use "#platform"`;
  }
}

test("an import of a higher layer or of Node.js is named with its file", () => {
  const upward = layerFaults(
    "ops/matmul.ts",
    `import type { Layer } from "../nn/linear.js";\nexport * from "./reduce.js";`,
  );
  expect(upward).toEqual([expect.stringContaining(`src/ops/matmul.ts: imports "../nn/linear.js"`)]);
  expect(layerFaults("nn/linear.ts", `const x = await import("node:fs");`)).toHaveLength(1);
  expect(layerFaults("index.ts", `export { x } from "node:fs";`)).toHaveLength(1);
  expect(layerFaults("stray/x.ts", "")).toHaveLength(1);
  expect(layerFaults("nn/linear.ts", `import "../index.js";`)).toHaveLength(1);
});

test("downward imports and the platform pass", () => {
  expect(
    layerFaults("nn/linear.ts", `import { matmul } from "../ops/index.js";\nimport { x } from "#platform";`),
  ).toEqual([]);
  expect(layerFaults("platform/node.ts", `import fs from "node:fs";\nimport { E } from "../base/errors.js";`)).toEqual(
    [],
  );
  expect(layerFaults("index.ts", `export * from "./cli/main.js";`)).toEqual([]);
});

/** The text of each source file, by its path relative to src/. */
function sourceFiles(): Map<string, string> {
  const root = new URL("../src/", import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
  );
  expect(files.length).toBeGreaterThan(10);
  return new Map(files.map((file) => [file, readFileSync(new URL(file, root), "utf8")]));
}

test("every file of src keeps to the order of the layers", () => {
  expect([...sourceFiles()].flatMap(([file, source]) => layerFaults(file, source))).toEqual([]);
});

test("the table and the picture of docs/architecture.md name every layer in order", () => {
  const page = readFileSync(new URL("../docs/architecture.md", import.meta.url), "utf8");
  expect([...page.matchAll(/^\| `([a-z]+)\/` \|/gm)].map((match) => match[1])).toEqual(LAYERS);
  const picture = readFileSync(new URL("../docs/rooms.svg", import.meta.url), "utf8");
  const lowest = (a: RegExpMatchArray, b: RegExpMatchArray): number => Number(b[1]) - Number(a[1]);
  const rooms = [...picture.matchAll(/y="([\d.]+)"[^>]*font-weight="600">([a-z]+)\/<\/text><text/g)].sort(lowest);
  expect(rooms.map((match) => match[2])).toEqual(LAYERS);
});

test("every suffix of a test file names a suite", () => {
  const names = JSON.parse(readFileSync(new URL("suites.json", import.meta.url), "utf8")).map(
    ({ name }: { name: string }) => name,
  );
  const files = ["../src/", "./"].flatMap((root) =>
    readdirSync(new URL(root, import.meta.url), { recursive: true, encoding: "utf8" }),
  );
  const suffixes = files.flatMap((file) => /\.([a-z]+)\.test\.ts$/.exec(file)?.[1] ?? []);
  expect(new Set(suffixes)).toEqual(new Set(names.slice(1)));
});

/** Files that a file imports values from, by paths relative to src/; imports of types alone vanish when compiled. */
function valueImports(file: string, source: string): string[] {
  const statements = source.matchAll(/^(?:import|export)\s+(?!type\b)(?:(\{[^}]*\}|\*[^"]*)\s+from\s+)?"(\.[^"]+)"/gm);
  return [...statements].flatMap(([, names = "", name]) => {
    const members = names.startsWith("{")
      ? names
          .slice(1, -1)
          .split(",")
          .map((each) => each.trim())
      : ["*"];
    const isTypesAlone = members.filter((each) => each !== "").every((each) => each.startsWith("type "));
    return isTypesAlone ? [] : [normalize(join(dirname(file), name!)).replace(/\.js$/, ".ts")];
  });
}

function sourceImports(): Map<string, string[]> {
  return new Map([...sourceFiles()].map(([file, source]) => [file, valueImports(file, source)]));
}

/** The first circle of imports, as its files in order; null if there is none. */
function circleOf(imports: ReadonlyMap<string, readonly string[]>): readonly string[] | null {
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): readonly string[] | null => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const next of imports.get(file) ?? []) {
      const circle = visit(next, [...way, file]);
      if (circle !== null) return circle;
    }
    done.add(file);
    return null;
  };
  for (const file of imports.keys()) {
    const circle = visit(file, []);
    if (circle !== null) return circle;
  }
  return null;
}

test("no files of src import values from one another in a circle", () => {
  const circle = new Map([
    ["a.ts", valueImports("a.ts", `import { type T, b } from "./b.js";`)],
    ["b.ts", valueImports("b.ts", `export * from "./a.js";`)],
  ]);
  expect(circleOf(circle)).toEqual(["a.ts", "b.ts", "a.ts"]);
  expect(valueImports("a.ts", `import type { T } from "./b.js";\nimport { type U } from "./c.js";`)).toEqual([]);
  expect(circleOf(sourceImports())).toBeNull();
});

test("the command line starts without what runs a verb", () => {
  const imports = sourceImports();
  const loaded = new Set(["cli/main.ts"]);
  for (const file of loaded) for (const next of imports.get(file) ?? []) loaded.add(next);
  expect(loaded).toContain("cli/export.ts");
  const heavy = [...loaded].filter((file) =>
    /^(programs|training)\/|^verbs\/(?!(export-formats|option-table|options)\.ts)/.test(file),
  );
  expect(heavy).toEqual([]);
});
