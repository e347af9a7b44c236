// TypeScript declarations without their comments, for the study in shift.yaml: 2.3 MB of two npm packages.
//
//   node examples/studies/shift.js data/declarations
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withPackages } from "./packages.js";

const PACKAGES = ["typescript@5.9.3", "@types/node@24.10.1"];

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: node examples/studies/shift.js FOLDER");

const declarations = [];
withPackages(PACKAGES, (modules) => {
  for (const name of ["typescript/lib", "@types/node"]) {
    const files = readdirSync(join(modules, name), { recursive: true }).filter((file) => file.endsWith(".d.ts"));
    for (const file of files.sort()) declarations.push(...paragraphs(readFileSync(join(modules, name, file), "utf8")));
  }
});

/** Declarations of the top level, without comments and characters outside of ASCII. */
function paragraphs(text) {
  const bare = text
    .replaceAll(/\/\*.*?\*\//gs, "")
    .replaceAll(/(^|\s)\/\/[^\n]*/g, "$1")
    .replaceAll(/[^\n -~]/g, "")
    .replaceAll(/[ \t]+$/gm, "");
  return bare.split(/\n(?=[a-zA-Z])/).map((part) => part.replaceAll(/\n\s*\n+/g, "\n").trim());
}

// Every twentieth declaration is held out.
const kept = declarations.filter((part) => part.length > 1);
mkdirSync(folder, { recursive: true });
for (const [file, wanted] of [
  ["train.txt", (index) => index % 20 !== 0],
  ["valid.txt", (index) => index % 20 === 0],
]) {
  const parts = kept.filter((_, index) => wanted(index));
  writeFileSync(join(folder, file), `${parts.join("\n\n")}\n`);
}
console.log(`${kept.length} declarations in ${folder}`);
