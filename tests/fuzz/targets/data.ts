import { mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { loadCorpus } from "../../../src/data/corpus.js";
import { openDataset } from "../../../src/data/dataset.js";
import { describeData } from "../../../src/data/describe.js";
import { encodeRecords } from "../../../src/data/encoded-data.js";
import { loadTokenRows } from "../../../src/data/rows.js";
import type { Tokenizer } from "../../../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../../../src/tokenizers/train-tokenizer.js";
import { TEXT } from "../../small-model.js";
import { expectThat, type FuzzTarget } from "../target.js";

async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), text);
  }
}

const lines = (...records: object[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");

/** Text, Markdown and lines of JSON, as files and as a folder of them. */
export const text: FuzzTarget = {
  name: "text data",
  sources: [
    "data/corpus",
    "data/dataset",
    "data/dataset-card",
    "data/split-files",
    "data/records",
    "data/jsonl-format",
    "data/markdown-format",
    "data/text-format",
    "data/describe",
  ],
  writeSamples: async (folder) => {
    await writeFiles(path.join(folder, "mixed"), {
      "a.txt": "One paragraph.\n\nAnother one,\r\nof two lines.\n",
      "b.md": "# Title\n\nText\n\n## Part\n\n```sh\n# no heading\n```\n\nMore\n",
      "c/d.jsonl": lines({ text: "first" }, { text: "second", id: 3 }, { text: "\ud83d\ude00" }),
    });
    await writeFiles(path.join(folder, "split"), {
      "train.jsonl": lines({ text: "first" }, { text: "second" }),
      "valid.jsonl": lines({ text: "third" }),
      "test.jsonl": lines({ text: "fourth" }),
    });
    await writeFiles(path.join(folder, "card"), {
      "README.md":
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: '**/a-[0-9]*.json'\n---\n",
      "x/a-1.json": '[{"text": "first"}, {"text": "second"}]',
      "train.json": lines({ text: "third" }),
    });
    await writeFiles(path.join(folder, "marks"), { "train.txt": "one<|endoftext|>two<|endoftext|>", "more.txt": "x" });
  },
  run: async (folder) => {
    for (const source of [folder, ...(await readdir(folder)).map((name) => path.join(folder, name))]) {
      if (source.endsWith(".partial")) continue;
      const { train, validation } = await loadCorpus(source);
      expectThat(
        [...train, ...validation].every((document) => typeof document === "string" && document.trim() !== ""),
        "a document is empty",
      );
      await describeData(source);
    }
  },
};

let shown: Tokenizer | undefined;

/** Lines with `input_ids`. */
export const rows: FuzzTarget = {
  name: "token rows",
  sources: ["data/rows", "data/samples", "data/jsonl-format"],
  writeSamples: async (folder) => {
    await writeFiles(path.join(folder, "rows"), {
      "rows.jsonl": lines(
        { input_ids: [1, 2, 3], labels: [-100, 2, 3] },
        { input_ids: [4, 5], completion_mask: [0, 1], attention_mask: [1, 1] },
        { input_ids: [0, 4, 5, 0], attention_mask: [0, 1, 1, 0], assistant_masks: [0, 1, 1, 0] },
        { input_ids: [7, 8, 9, 10], labels: [7, 8, 9, 10] },
      ),
    });
  },
  run: async (folder) => {
    const file = path.join(folder, "rows.jsonl");
    await loadTokenRows(file);
    shown ??= trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280 });
    await describeData(file, shown);
    const { kind, train } = await openDataset(file);
    const encoded = await encodeRecords(kind, train, shown, {
      sequenceLength: 8,
      packing: "auto",
      trainOnInputs: false,
    });
    encoded.requireVocabulary(280);
    encoded.trainingRows();
  },
};
