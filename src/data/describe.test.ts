import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../tensor/errors.js";
import { trainBytePairEncoding } from "./bpe-trainer.js";
import { describeData } from "./describe.js";
import { Tokenizer } from "./tokenizer.js";

const bytes = Tokenizer.fromJson(trainBytePairEncoding([], { vocabSize: 257 }));

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-describe-"));
});
afterAll(async () => rm(folder, { recursive: true }));

async function write(name: string, content: string): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

test("text is counted in documents, characters and tokens", async () => {
  const source = await write("one.txt", "é🙂");
  const counted = { kind: "text", source, format: "txt", sample: "é🙂" };
  const plain = await describeData(source);
  expect(plain).toEqual({
    ...counted,
    documents: { train: 1, validation: 0 },
    characters: { train: 2, validation: 0 },
  });
  // One token a byte (2 + 4), and the end of text.
  const described = await describeData(source, bytes);
  expect(described).toMatchObject({ ...plain, tokens: { train: 7, validation: 0 } });
  expect(described.sampleTokens).toHaveLength(7);
  expect(described.sampleTokens!.at(-1)).toEqual({ id: 0, text: "<|endoftext|>", isScored: true });
});

test("token rows are counted with what is scored, and shown with their mask", async () => {
  const rows = '{"input_ids": [66, 67, 68], "labels": [66, -100, 68]}\n{"input_ids": [66, 67, 68, 69]}\n';
  const source = await write("rows.jsonl", rows);
  const { sampleTokens, ...counts } = await describeData(source, bytes);
  const format = { kind: "token rows", source, format: "jsonl" };
  expect(counts).toEqual({ ...format, rows: 2, tokens: 7, scoredTokens: 4, longestRow: 4 });
  expect(sampleTokens).toEqual([
    { id: 66, text: "b", isScored: false },
    { id: 67, text: "c", isScored: false },
    { id: 68, text: "d", isScored: true },
  ]);
});

test("faults are those of the readers", async () => {
  await expect(describeData(join(folder, "none.jsonl"))).rejects.toThrow(/there is no such file/);
  await expect(describeData(await write("broken.jsonl", "{"))).rejects.toThrow(/line 1: not JSON/);
  await expect(describeData(await write("keys.jsonl", '{"a": 1}'))).rejects.toThrow(DataError);
  await expect(describeData(folder)).rejects.toThrow(DataError);
});
