import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { trainBytePairEncoding } from "../tokenizers/bpe-trainer.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { asAskedOf, describeUnused, loadDataset, openDataset } from "./dataset.js";
import type { ReadingRules } from "./records.js";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-dataset-"));
});
afterEach(async () => rm(folder, { recursive: true }));

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

const line = (text: string) => `{"text": "${text}"}\n`;

/** The texts of each side of the folder, or of a file in it. */
async function texts(
  name = "",
  rules: ReadingRules = 5,
): Promise<[train: string[], validation: string[], unused: string]> {
  const { train, validation, unused } = await loadDataset(join(folder, name), { validationFraction: 0, rules });
  const of = (records: typeof train) => records.map((record) => (record.kind === "text" ? record.text : record.kind));
  return [of(train), of(validation), describeUnused(unused)];
}

test("records in several formats are refused where they would be trained on together, unless a card names them", async () => {
  await write({ "a.jsonl": line("a"), "b.csv": "text\nb\n", "c.json": '[{"text": "c"}]', "notes.txt": "d\n" });
  await expect(texts()).rejects.toThrow(/holds data in several formats, such as a\.jsonl and b\.csv; name one of the/);
  // A run goes on with the files that it began with.
  expect((await texts("", 4))[0]).toEqual(["a", "b", "c", "d"]);
  await write({
    "README.md": "---\nconfigs:\n- config_name: default\n  data_files: ['*.jsonl', 'c.json', 'b.csv']\n---\n",
  });
  expect((await texts())[0]).toEqual(["a", "b", "c"]);
  await rm(join(folder, "README.md"));
  await rename(join(folder, "b.csv"), join(folder, "valid.csv"));
  expect(await texts()).toMatchObject([["a", "c", "d"], ["b"], ""]);
});

test("a byte that is no UTF-8 in a large text is named by its line", async () => {
  const text = `${"ä".repeat(50)}\n`.repeat(60_000);
  await writeFile(
    join(folder, "a.txt"),
    Buffer.concat([Buffer.from(text), Buffer.from([0x61, 0xff]), Buffer.from(text)]),
  );
  await expect(texts("a.txt")).rejects.toThrow(/a\.txt is not UTF-8 text \(line 60001\); convert it/);
});

test("the folder of a run is no data", async () => {
  await write({ "config.resolved.json": "{}", "a.txt": "a" });
  await expect(texts()).rejects.toThrow(/is the folder of a run, which holds no data; name the data that it/);
});

test.each([
  ["a list of objects", '[\n {"text": "a"},\n {"text": "b"}\n]', "record 2"],
  ["a list of texts", '["a", "b"]', "record 2"],
  ["an object per line", '{"text": "a"}\r\n\n{"text": "b"}\n', "line 3"],
  ["a list under data", '{"version": "1", "data": [{"text": "a"}, {"text": "b"}]}', "record 2"],
])(".json that is %s", async (_, content, last) => {
  await write({ "a.json": content });
  expect((await texts("a.json"))[0]).toEqual(["a", "b"]);
  const { place } = (await loadDataset(join(folder, "a.json"), { validationFraction: 0 })).train[1]!;
  expect(`${place.unit} ${place.number}`).toBe(last);
});

test.each([
  ['[{"text": "a"}, 3]', /a\.json, record 2: must be a JSON object, got 3/],
  ['[{"text": "a"},]', /a\.json: not JSON \(.*\); it must be one list of objects, or one object per line/],
  ['{"train": [{"text": "a"}]}', /a\.json, record 1: must have .*; the keys found are "train"/],
  ['{"text": "a"}\n{"text":', /a\.json, line 2: not JSON/],
  ["3", /record 1: must be a JSON object, got 3/],
])(".json with %s is refused", async (content, message) => {
  await write({ "a.json": content });
  await expect(texts("a.json")).rejects.toThrow(DataError);
  await expect(texts("a.json")).rejects.toThrow(message);
});

test("files about the data and those of tests are left out and named", async () => {
  await write({
    ...{ "README.md": "# Card\n\nText.", "LICENSE.txt": "Do.", "dataset_infos.json": "{}", "picture.png": "x" },
    ...{ "data/a.jsonl": line("a"), "data/my_test.jsonl": line("t") },
  });
  expect(await texts()).toEqual([["a"], [], "files LICENSE.txt, README.md, data/my_test.jsonl, dataset_infos.json"]);
});

test("folders of runs among the data are no data, as a run may be written there", async () => {
  const run = { "runs/1/config.resolved.json": "{}", "runs/1/metrics.jsonl": "{}", "runs/1/base/tokenizer.json": "{}" };
  await write({ "a.txt": "one", "runs/notes.txt": "two", ...run });
  expect(await texts("", 3)).toEqual([["one", "two"], [], ""]);
  // Runs begun before go on with what they read.
  await expect(texts("", 2)).rejects.toThrow(/runs.1./);
});

test("a folder of Markdown is split by whole names only", async () => {
  await write({ "how-to-test.md": "t", "training.notes.md": "n", "valid.md": "v" });
  expect((await texts()).slice(0, 2)).toEqual([["t", "n"], ["v"]]);
});

test("a file on both sides, and shards without one for training, are refused by name", async () => {
  await write({ "train_dev.jsonl": line("a"), "train.jsonl": line("b") });
  await expect(texts()).rejects.toThrow(/train_dev\.jsonl is named for training and for validation/);
  await write({ "data/train_sft-00000-of-00001.jsonl": line("a"), "data/test_sft-00000-of-00001.jsonl": line("b") });
  await expect(texts()).rejects.toThrow(/it holds the splits test_sft, train_sft, but none named train/);
});

test("only files for tests leave nothing to train on", async () => {
  await write({ "test.jsonl": line("a"), "README.md": "x" });
  await expect(texts()).rejects.toThrow(/there is only README\.md, test\.jsonl; add files to train on/);
});

test("a file that the dataset card names and that is not there is refused, but for tests and earlier runs", async () => {
  await write({ "train/c.jsonl": line("c"), "train/d.jsonl": line("d") });
  const name = async (files: unknown) =>
    write({ "README.md": `---\nconfigs:\n- data_files: ${JSON.stringify(files)}\n---\n` });
  const says = /README\.md names "train\/gone\.jsonl" for the split train, and no data file matches it; add the file/;
  await name("train/gone.jsonl");
  await expect(texts()).rejects.toThrow(DataError);
  await expect(texts()).rejects.toThrow(says);
  await name(["train/c.jsonl", "train/gone.jsonl"]);
  await expect(texts()).rejects.toThrow(says);
  for (const rules of [2, 3] as const) expect((await texts("", rules))[0]).toEqual(["c"]);
  const train = { split: "train", path: "train/*" };
  await name([train, { split: "validation", path: "gone/*" }]);
  await expect(texts()).rejects.toThrow(/names "gone\/\*" for the split validation/);
  await name([{ split: "fr", path: "gone/*" }]);
  await expect(texts()).rejects.toThrow(/names "gone\/\*" for the split fr/);
  await name([train, { split: "test", path: "gone/*" }]);
  expect((await texts())[0]).toEqual(["c", "d"]);
});

test("by the rules of version 1, whole names alone make a split and every file is data", async () => {
  await write({ "README.md": "card", "data/train-00000-of-00001.jsonl": line("a"), "my_test.jsonl": line("t") });
  await write({ "a.json": "[]" });
  expect(await texts("", 1)).toEqual([["card", "a", "t"], [], ""]);
  await write({ "Valid.jsonl": line("v"), "test.jsonl": line("u") });
  expect(await texts("", 1)).toEqual([["card", "a", "t"], ["v"], ""]);
});

test.each([
  ["a.csv", 'question,answer,id\nq,a,1\r\n"x\ny",b,2\n'],
  ["a.tsv", 'question\tanswer\tid\nq\ta\t1\n"x\ny"\tb\t2\n'],
  ["a.csv with a mark of order", '\ufeffquestion,answer,id\nq,a,1\n"x\ny",b,2\n'],
])("%s is read through the records, and what no one reads is named", async (name, content) => {
  const file = name.split(" ")[0]!;
  await write({ [file]: content });
  const { kind, train, unused } = await loadDataset(join(folder, file), { validationFraction: 0 });
  expect(kind).toBe("question-answer");
  expect(train.map(({ place }) => place.number)).toEqual([2, 3]);
  expect(train[1]).toMatchObject({ prompt: "x\ny\n", completion: "b" });
  expect(describeUnused(unused)).toBe("keys id");
});

test("a compressed table", async () => {
  await writeFile(join(folder, "a.csv.gz"), gzipSync("text\n007\n1.50\n"));
  expect((await texts("a.csv.gz"))[0]).toEqual(["007", "1.50"]);
});

test("gzip is read as Python reads it: zeros stand between members and after them, and nothing else does", async () => {
  const [one, two] = [gzipSync("one\n\n"), gzipSync("two")];
  const zeros = new Uint8Array(600);
  await writeFile(join(folder, "a.txt.gz"), Buffer.concat([one, zeros, two, zeros, gzipSync("!"), zeros]));
  expect((await texts("a.txt.gz"))[0]).toEqual(["one", "two!"]);
  for (const between of [zeros, new Uint8Array(0)]) {
    await writeFile(join(folder, "a.txt.gz"), Buffer.concat([one, between, Buffer.from("more")]));
    await expect(texts("a.txt.gz")).rejects.toThrow(DataError);
    await expect(texts("a.txt.gz")).rejects.toThrow(/a\.txt\.gz: cannot decompress gzip: /);
  }
});

test("a table whose columns say nothing is refused once, with the way out", async () => {
  await write({ "a.csv": "Frage,Antwort\na,b\nc,d\n" });
  const message = await loadDataset(join(folder, "a.csv")).catch((error: Error) => error.message);
  expect(message).toMatch(
    /a\.csv, line 2: must have .*the keys found are "Frage", "Antwort"; .*columns: \["prompt=KEY"/,
  );
  expect(message).not.toContain("line 3");
});

test.each([
  [null, ["a\nb", "c"], "paragraph"],
  ["paragraph", ["a\nb", "c"], "paragraph"],
  ["line", ["a", "b", "c"], "line"],
  ["file", ["a\nb\n\nc"], "file"],
] as const)("--document %s", async (document, documents, unit) => {
  await write({ "a.txt": "a\nb\n\nc\n" });
  const data = await loadDataset(join(folder, "a.txt"), { validationFraction: 0, document });
  expect(data.train).toMatchObject(documents.map((text) => ({ text })));
  expect(data.unit).toBe(unit);
});

test("questions are chats for a tokenizer with a chat template, and texts for others", async () => {
  await write({ "a.jsonl": '{"question": "q", "answer": "a"}\n' });
  const data = await openDataset(join(folder, "a.jsonl"));
  const plain = Tokenizer.fromJson(trainBytePairEncoding([], { vocabSize: 257 }));
  const asTexts = asAskedOf(data, plain);
  expect([asTexts.kind, ...(await asTexts.train.all())]).toMatchObject(["prompt-completion", { prompt: "q\n" }]);
  const chat = asAskedOf(data, plain.withChatTemplate("{{ messages }}"));
  expect([chat.kind, ...(await chat.train.all())]).toMatchObject(["messages", { kind: "messages" }]);
});
