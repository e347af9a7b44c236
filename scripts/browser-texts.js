// Copies texts of dependencies into dist/assets, for src/platform/browser-package-text.ts: a browser finds no packages.
import { cpSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const library = path.dirname(createRequire(import.meta.url).resolve("uplot"));
const folder = new URL("../dist/assets/", import.meta.url);
for (const name of ["uPlot.iife.min.js", "uPlot.min.css"]) {
  cpSync(path.join(library, name), fileURLToPath(new URL(`${name}.txt`, folder)));
}
