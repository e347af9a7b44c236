// What the TypeScript compiler says in Czech, Polish and Turkish, for the study in language.yaml: 6,360 messages.
//
//   node examples/studies/language.js data/messages
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withPackages } from "./packages.js";

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: node examples/studies/language.js FOLDER");

const lines = { train: [], valid: [] };
withPackages(["typescript@5.9.3"], (modules) => {
  for (const language of ["cs", "pl", "tr"]) {
    const file = join(modules, "typescript/lib", language, "diagnosticMessages.generated.json");
    const messages = Object.values(JSON.parse(readFileSync(file, "utf8")));
    // The same messages of each language are held out.
    for (const [index, text] of messages.entries()) lines[index % 40 === 0 ? "valid" : "train"].push({ text, index });
  }
});
mkdirSync(folder, { recursive: true });
for (const [name, samples] of Object.entries(lines)) {
  const records = samples.sort((a, b) => a.index - b.index).map(({ text }) => JSON.stringify({ text }));
  writeFileSync(join(folder, `${name}.jsonl`), `${records.join("\n")}\n`);
}
console.log(`${lines.train.length + lines.valid.length} messages in ${folder}`);
