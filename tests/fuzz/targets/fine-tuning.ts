import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ChatTemplate } from "../../../src/chats/chat-template.js";
import { openDataset } from "../../../src/data/dataset.js";
import { encodeRecords } from "../../../src/data/encoded-data.js";
import { templatesBeside } from "../../../src/tokenizers/stored-templates.js";
import type { Tokenizer } from "../../../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../../../src/tokenizers/train-tokenizer.js";
import { TEXT } from "../../small-model.js";
import { expectThat, type FuzzTarget } from "../target.js";

/** The repository, from the sources and from what they are built to. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url)).replace(/dist-fuzz\/$/, "");

const CHAT =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

let known: Tokenizer | undefined;
const tokenizer = (): Tokenizer => {
  known ??= trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280 }).withChatTemplate(CHAT);
  return known;
};

async function encodeAll(file: string, by: Tokenizer): Promise<void> {
  const { kind, train } = await openDataset(file);
  const options = { sequenceLength: 4096, packing: "joined" as const, trainOnInputs: false };
  const { counts, evaluationRows } = await encodeRecords(kind, train, by, options);
  expectThat(counts.scoredTokens > 0, "nothing is scored");
  expectThat(evaluationRows().count > 0, "there are no rows");
}

/** A chat template and the messages that it renders. */
export const chatTemplate: FuzzTarget = {
  name: "chat template",
  sources: ["chats/chat-rendering", "chats/chat-template", "data/records", "data/samples"],
  writeSamples: async (folder) => {
    const templates = path.join(ROOT, "tests/data/templates");
    const messages = [
      { role: "user", content: "Hi there" },
      { role: "assistant", content: "Hello" },
    ];
    for (const name of await readdir(templates)) {
      const sample = path.join(folder, name.replace(/\.jinja$/, ""));
      await mkdir(sample, { recursive: true });
      await copyFile(path.join(templates, name), path.join(sample, "chat_template.jinja"));
      await writeFile(path.join(sample, "chat.jsonl"), `${JSON.stringify({ messages })}\n`);
    }
  },
  run: async (folder) => {
    const template = await templatesBeside(folder);
    const by = tokenizer().withChatTemplate(typeof template === "string" ? template : "");
    expectThat(ChatTemplate.of(by) !== null, "there is no template");
    await encodeAll(path.join(folder, "chat.jsonl"), by);
  },
};

/** Samples are valid: these have no columns for data, rows without text or turns, or values that not every template writes. */
const REFUSED = /^(other-columns|numbers-zstd|pages-.*)\.parquet$/;

/** Parquet files as pyarrow writes them. */
export const parquet: FuzzTarget = {
  name: "Parquet",
  sources: [
    "data/parquet-format",
    "data/parquet-rows",
    "data/parquet-pages",
    "data/parquet-values",
    "data/lz4",
    "data/zstandard",
  ],
  writeSamples: async (folder) => {
    const golden = path.join(ROOT, "tests/golden/parquet");
    for (const name of (await readdir(golden)).filter((one) => one.endsWith(".parquet") && !REFUSED.test(one))) {
      const sample = path.join(folder, name.replace(/\.parquet$/, ""));
      await mkdir(sample, { recursive: true });
      await copyFile(path.join(golden, name), path.join(sample, "data.parquet"));
    }
  },
  run: async (folder) => encodeAll(path.join(folder, "data.parquet"), tokenizer()),
};
