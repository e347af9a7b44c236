import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { DataError } from "../base/errors.js";
import { trainBytePairEncoding } from "../tokenizers/bpe-trainer.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { DEFAULT_SPLIT, type OpenDataset, openDataset } from "./dataset.js";
import { describeData, describeDataset } from "./describe.js";
import { holdOut } from "./hold-out.js";

const bytes = Tokenizer.fromJson(trainBytePairEncoding([], { vocabSize: 257 })).withoutSurround();

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-describe-"));
});
afterAll(async () => rm(folder, { recursive: true }));

async function split(source: string, sampleAbove: number | null = null): Promise<OpenDataset> {
  return holdOut(await openDataset(source, { sampleAbove }), DEFAULT_SPLIT);
}

async function write(name: string, content: string): Promise<string> {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

test("text is counted in documents, characters and tokens", async () => {
  const source = await write("one.txt", "é🙂");
  const plain = await describeData(source);
  expect(plain).toEqual({
    ...{
      kind: "text",
      source,
      format: "txt",
      train: null,
      validation: null,
      rows: null,
      sampleTokens: null,
      isEstimated: false,
      unused: { files: [], keys: [] },
    },
    samples: { train: 1, validation: 0 },
    characters: { train: 2, validation: 0 },
  });
  // One token per byte (2 + 4), and the end of text.
  const described = await describeData(source, bytes);
  expect(described.train).toMatchObject({ samples: 1, tokens: 7, scoredTokens: 6, lengths: null });
  expect(described.sampleTokens).toHaveLength(7);
  expect(described.sampleTokens!.at(-1)).toEqual({ id: 0, text: "<|endoftext|>", isScored: true });
});

test("a document is shown as it begins joined text, without the end of text that a tokenizer puts in front", async () => {
  const fronted = Tokenizer.fromJson(trainBytePairEncoding([], { vocabSize: 257 }));
  expect(fronted.surround.before).toEqual([0]);
  const { train, rows } = await describeData(await write("front.txt", "abc"), fronted);
  expect(train).toMatchObject({ tokens: 4, scoredTokens: 3 });
  expect(rows![0]!.tokens.map(({ text, isScored }) => [text, isScored])).toEqual([
    ["a", false],
    ...["b", "c", "<|endoftext|>"].map((text) => [text, true]),
  ]);
});

test("token rows are counted with their scored tokens, and shown with their mask", async () => {
  const rows = ["[66, 67, 68, 69]", "[66, 67]", '[66, 67, 68], "labels": [66, -100, 68]'];
  await write(
    "rows/train.jsonl",
    rows
      .map((row) => `{"input_ids": ${row}}`)
      .reverse()
      .join("\n"),
  );
  await write("rows/valid.jsonl", '{"input_ids": [66, 67]}');
  const {
    sampleTokens,
    rows: shown,
    ...found
  } = await describeData(join(folder, "rows"), bytes, { sequenceLength: 2 });
  expect(found).toMatchObject({ kind: "token rows", format: "folder", samples: { train: 3, validation: 1 } });
  expect(found.train).toEqual({
    ...{ samples: 3, tokens: 8, scoredTokens: 4 },
    lengths: { min: 2, median: 3, max: 3 },
    truncation: { samples: 1, tokens: 1 },
  });
  expect(sampleTokens).toEqual([
    { id: 66, text: "b", isScored: false },
    { id: 67, text: "c", isScored: false },
    { id: 68, text: "d", isScored: true },
  ]);
});

test("three samples are shown, and of each no more tokens than a person reads", async () => {
  const long = "word ".repeat(30_000);
  const source = await write("long.txt", `${long}\n\n${long}x\n\nb\n\nc\n\nd`);
  const decode = vi.spyOn(Tokenizer.prototype, "decode");
  const { rows, train, validation } = await describeData(source, bytes);
  expect(rows).toHaveLength(3);
  expect(rows!.filter(({ goesOn }) => goesOn).map(({ tokens }) => tokens.length)).toEqual([256, 256]);
  expect(train!.tokens + validation!.tokens).toBe(2 * 150_000 - 1 + 4 + 5);
  // A foreign tokenizer takes a tenth of a millisecond for each call: half a minute for a book in one paragraph.
  expect(decode.mock.calls.length).toBeLessThan(1000);
  decode.mockRestore();
});

test("characters of messages are those of their texts, in parts too", async () => {
  const content = [
    { type: "text", text: "ab" },
    { type: "text", text: "c" },
  ];
  const chat = {
    messages: [
      { role: "user", content },
      { role: "assistant", content: "de" },
    ],
  };
  const { characters } = await describeData(await write("parts.jsonl", JSON.stringify(chat)));
  expect(characters.train).toBe("abc\nde".length);
});

test("large data are estimated from a sample, in which records of all places are", async () => {
  const rows = Array.from({ length: 12_000 }, (_, i) => `{"text": "${"x y ".repeat(i % 200)}${i}"}`);
  const source = await write("large.jsonl", `${rows.join("\n")}\n`);
  const whole = await describeDataset(await split(source), bytes);
  expect(whole.isEstimated).toBe(false);
  const dataset = await split(source, 1_000_000);
  expect(dataset.train.count + dataset.validation.count).toBeLessThan(9_000);
  const about = await describeDataset(dataset, bytes);
  expect(about.isEstimated).toBe(true);
  for (const count of ["samples", "tokens", "scoredTokens"] as const) {
    const [estimate, exact] = [about.train![count], whole.train![count]];
    expect(Math.abs(estimate / exact - 1), count).toBeLessThan(0.03);
  }
  const last = (await dataset.train.all()).at(-1)!;
  expect(last.kind === "text" && Number(/\d+$/.exec(last.text)![0])).toBeGreaterThan(11_800);
});

test.each(["large.csv", "large.txt"])("%s is estimated too", async (name) => {
  const line = (i: number) => (name.endsWith("csv") ? `"a\n${i}",b` : `${i} words\n`);
  const content = `prompt,response\n${Array.from({ length: 400_000 }, (_, i) => line(i)).join("\n")}\n`;
  const dataset = await split(await write(name, content), 1_000_000);
  const { samples } = await describeDataset(dataset, undefined);
  expect(Math.abs((samples.train + samples.validation) / 400_000 - 1)).toBeLessThan(0.1);
});

test("a text of huge paragraphs is estimated by its characters, and a line longer than a sample is read whole", async () => {
  const text = `${"é words ".repeat(250_000)}\n\n`.repeat(3);
  const dataset = await split(await write("huge.txt", text), 1_000_000);
  const { characters, isEstimated } = await describeDataset(dataset, undefined);
  expect(isEstimated).toBe(true);
  expect(Math.abs((characters.train + characters.validation) / text.length - 1)).toBeLessThan(0.02);
  const line = JSON.stringify({ text: "x".repeat(3_000_000) });
  const lines = openDataset(await write("huge.jsonl", `${line}\n${line}\n`), { sampleAbove: 1_000_000 });
  await expect(lines).rejects.toThrow(/lines too long for a sample/);
});

test("errors are those of the readers", async () => {
  await expect(describeData(join(folder, "none.jsonl"))).rejects.toThrow(/there is no such file/);
  await expect(describeData(await write("broken.jsonl", "{"))).rejects.toThrow(/line 1: not JSON/);
  await expect(describeData(await write("keys.jsonl", '{"a": 1}'))).rejects.toThrow(DataError);
});
