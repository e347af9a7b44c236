// Writes train.jsonl and valid.jsonl: what the doc comments of @types/node say of Node.js's API, as prompts and completions.
//
//   node examples/fine-tuning/node-docs.js FOLDER
//
// The text is that of the Node.js documentation (MIT licence, as @types/node). Valid.jsonl is of modules that train.jsonl knows
// nothing of.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = fileURLToPath(new URL("../../node_modules/@types/node/", import.meta.url));
const HELD_OUT = new Set(["dns", "readline", "url", "worker_threads", "zlib"]);

/** A doc comment, and the name of what is declared after it. */
const COMMENT =
  /\/\*\*((?:(?!\*\/).)*)\*\/\s*(?:(?:export|declare|static|function|class|interface|const|let|var)\s+)*(\w+)/gs;

/** The first paragraph of a comment in one line, without links and backquotes. */
function firstParagraph(comment) {
  const text = comment.replaceAll(/^\s*\*[^\S\n]?/gm, "").trim();
  const [paragraph] = text.split(/\n\s*\n|^@|^```/m);
  return paragraph
    .replaceAll(/\{@link (\S+?)\}|`/g, "$1")
    .replaceAll(/\s+/g, " ")
    .trim();
}

const [folder = "node-docs"] = process.argv.slice(2);
const lines = { train: [], valid: [] };
const known = new Set();
for (const file of readdirSync(TYPES).filter((name) => name.endsWith(".d.ts"))) {
  const [module] = file.split(".");
  for (const [, comment, name] of readFileSync(path.join(TYPES, file), "utf8").matchAll(COMMENT)) {
    const completion = firstParagraph(comment);
    if (completion.length < 40 || known.has(completion)) continue;
    known.add(completion);
    // A space begins the word after it, as tokenizers have it.
    const sample = { prompt: `${module}.${name}:`, completion: ` ${completion}` };
    lines[HELD_OUT.has(module) ? "valid" : "train"].push(JSON.stringify(sample));
  }
}
mkdirSync(folder, { recursive: true });
for (const [part, samples] of Object.entries(lines)) {
  writeFileSync(path.join(folder, `${part}.jsonl`), `${samples.join("\n")}\n`);
  console.log(`${folder}/${part}.jsonl: ${samples.length} samples`);
}
