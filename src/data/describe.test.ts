import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { trainBytePairEncoding } from "../tokenizers/bpe-trainer.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { describeData } from "./describe.js";

const bytes = Tokenizer.fromJson(trainBytePairEncoding([], { vocabSize: 257 })).withoutSurround();

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-describe-"));
});
afterAll(async () => rm(folder, { recursive: true }));

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
      sampleTokens: null,
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
  const { sampleTokens, ...found } = await describeData(join(folder, "rows"), bytes, { sequenceLength: 2 });
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

test("errors are those of the readers", async () => {
  await expect(describeData(join(folder, "none.jsonl"))).rejects.toThrow(/there is no such file/);
  await expect(describeData(await write("broken.jsonl", "{"))).rejects.toThrow(/line 1: not JSON/);
  await expect(describeData(await write("keys.jsonl", '{"a": 1}'))).rejects.toThrow(DataError);
});
