import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadDataset } from "../src/data/dataset.js";
import { encodeRecords } from "../src/data/encoded-data.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";

const page = await readFile(new URL("../docs/data.md", import.meta.url), "utf8");
/** A record, and the text of its sample with what is scored in brackets. */
const samples = [...page.matchAll(/```json\n(.*?)\n```\n\n```text\n(.*?)\n```\n/gs)].map(
  ([, record, text]) => [record!, text!] as const,
);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-data-docs-"));
});
afterAll(async () => rm(folder, { recursive: true }));

test("the page shows each kind", () => {
  expect(samples.length).toBeGreaterThanOrEqual(9);
});

test.each(samples)("the page's sample %s", async (record, text) => {
  const path = join(folder, "a.jsonl");
  await writeFile(path, record);
  const { kind, train } = await loadDataset(path, { validationFraction: 0 });
  const tokenizer = await Tokenizer.fromFolder(fileURLToPath(new URL("golden/trl/tokenizer", import.meta.url)));
  const options = { sequenceLength: 1000, packing: false, trainOnInputs: false };
  const { ids, labels } = (await encodeRecords(kind, train, tokenizer, options)).samples[0]!;
  // The first token is never scored.
  const shown = Array.from(ids, (id, i) =>
    i > 0 && labels[i] === id ? `[${tokenizer.decode([id])}]` : tokenizer.decode([id]),
  );
  expect(shown.join("").replaceAll("][", "").trimEnd()).toBe(text);
});
