// Random facts, for the study in facts.yaml: names of three characters, each with four values of 6 bits.
//
//   node examples/studies/facts.js data/facts
//
// base/ has those that the model knows before, new/ has 3,200 that it is to learn.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const LETTERS = "abcdefghijklmnopqrstuvwxyz012345";
const VALUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: node examples/studies/facts.js FOLDER");

// Xorshift of 32 bits (Marsaglia 2003): the same facts everywhere.
let state = 2463534242;
function below(count) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % count;
}

const names = new Set();
while (names.size < 1200) names.add(LETTERS[below(32)] + LETTERS[below(32)] + LETTERS[below(32)]);
const facts = [...names].map((prompt) => {
  const completion = Array.from({ length: 4 }, () => VALUES[below(64)]).join("");
  return JSON.stringify({ prompt, completion });
});
for (const [name, lines] of [
  ["base", facts.slice(0, 400)],
  ["new", facts.slice(400)],
]) {
  mkdirSync(join(folder, name), { recursive: true });
  // What is to be known by heart is what was trained on.
  for (const file of ["train.jsonl", "valid.jsonl"]) writeFileSync(join(folder, name, file), `${lines.join("\n")}\n`);
}
console.log(`${facts.length} names in ${folder}`);
