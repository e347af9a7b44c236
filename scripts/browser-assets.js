// Puts into dist/assets what a browser does not find in packages: texts, for src/platform/browser-package-text.ts, and
// ml-matrix as a module, as which it is not published.
import { cpSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const { resolve } = createRequire(import.meta.url);
const inAssets = (name) => fileURLToPath(new URL(`../dist/assets/${name}`, import.meta.url));

for (const name of ["uPlot.iife.min.js", "uPlot.min.css"]) {
  cpSync(path.join(path.dirname(resolve("uplot")), name), inAssets(`${name}.txt`));
}
const matrix = path.dirname(resolve("ml-matrix"));
const bundle = await rolldown({ input: path.join(matrix, "src/index.js"), platform: "browser" });
const licence = readFileSync(path.join(matrix, "LICENSE"), "utf8");
await bundle.write({ file: inAssets("ml-matrix.js"), format: "esm", banner: `/*!\n${licence}*/` });
