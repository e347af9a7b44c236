import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { resolveSettings } from "../config/resolve.js";
import { SampleStore } from "../data/sample-store.js";
import { locateData } from "../hub/locate-data.js";
import { trainTokenizer } from "../tokenizers/train-tokenizer.js";
import { type DataRequest, findData, type ReadData, readData } from "./read-data.js";
import { TokenCache } from "./token-cache.js";

const LINES = Array.from({ length: 60 }, (_, i) => `The cat number ${i} sat on the mat.`);
const PAIRS = LINES.map((line, i) => JSON.stringify({ prompt: `${i}?`, completion: line }));

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-tokens-"));
  await mkdir(join(folder, "base"));
  const tokenizer = trainTokenizer(LINES, { vocabSize: 300, maxLength: 64 });
  await writeFile(join(folder, "base", "tokenizer.json"), JSON.stringify(tokenizer.toJson()));
  await writeFile(join(folder, "a.txt"), LINES.join("\n\n"));
  await writeFile(join(folder, "pairs.jsonl"), PAIRS.join("\n"));
});
afterEach(() => rm(folder, { recursive: true }));

const EACH = ["a.txt", "pairs.jsonl"];
const KEPT = { tokenCache: null, tokenCacheLimit: 4 };

async function requestOf(name: string, change: Record<string, unknown> = {}): Promise<DataRequest> {
  const data = join(folder, name);
  return {
    data: await locateData(data),
    validData: null,
    asked: resolveSettings({ flags: { data, model: "tiny", ...change } }),
    rules: 4,
    modelFacts: {},
    place: { baseFolder: join(folder, "base") },
    events: undefined,
  };
}

function tokensOf({ summary, tokenized }: ReadData) {
  return { summary, train: tokenized.train.source, validation: tokenized.validation.source };
}

/** All that a run takes from data. */
function usedOf({ tokenized, summary, chatDate }: ReadData): unknown {
  const sides = [tokenized.train, tokenized.validation].map((side) => {
    const cut = side.cut(16);
    const content = [...cut.evaluationRows().content].map((bytes) => [...bytes]);
    return { content, counts: cut.counts, longestRow: side.longestRow, textTokens: side.textTokens };
  });
  return { sides, summary, chatDate };
}

/** Keeps the tokens of data in the folder of a run. Returns what is said of it. */
async function keep(name: string, cache: TokenCache, change: Record<string, unknown> = {}): Promise<string | null> {
  const read = await readData(await requestOf(name, change));
  return cache.keep(join(folder, "run"), read.inputs, tokensOf(read));
}

const find = async (name: string, cache: TokenCache, change: Record<string, unknown> = {}): Promise<ReadData | null> =>
  findData(await requestOf(name, change), cache, join(folder, "run"));

test.each(EACH)("kept tokens are those of the data: %s", async (name) => {
  const cache = new TokenCache(KEPT, 1);
  expect(await find(name, cache)).toBeNull();
  expect(await keep(name, cache)).toBeNull();
  const found = await find(name, cache);
  expect(found?.isKept).toBe(true);
  expect(usedOf(found!)).toEqual(usedOf(await readData(await requestOf(name))));
});

test("other data, settings and tokenizers have other tokens", async () => {
  const cache = new TokenCache(KEPT, 1);
  await keep("a.txt", cache);
  for (const change of [{ seed: 1 }, { validationFraction: 0.1 }, { document: "line" }, { addSpecialTokens: false }]) {
    expect(await find("a.txt", cache, change), JSON.stringify(change)).toBeNull();
  }
  expect(await find("a.txt", cache, { lr: 0.5, threads: 1 })).not.toBeNull();
  await writeFile(join(folder, "a.txt"), `${LINES.join("\n\n")}!`);
  expect(await find("a.txt", cache)).toBeNull();
  await writeFile(join(folder, "a.txt"), LINES.join("\n\n"));
  expect(await find("a.txt", cache)).not.toBeNull();
  const other = trainTokenizer(LINES, { vocabSize: 270, maxLength: 64 });
  await writeFile(join(folder, "base", "tokenizer.json"), JSON.stringify(other.toJson()));
  expect(await find("a.txt", cache)).toBeNull();
});

test.each<[name: string, change: (bytes: Buffer) => Buffer]>([
  ["cut", (bytes) => bytes.subarray(0, 40)],
  ["longer", (bytes) => Buffer.concat([bytes, bytes])],
  ["empty", () => Buffer.alloc(0)],
  ["changed in a byte", (bytes) => Buffer.from(bytes.map((byte, index) => (index === 9 ? byte ^ 1 : byte)))],
])("tokens whose file is %s are not taken", async (_, change) => {
  const cache = new TokenCache(KEPT, 1);
  for (const file of ["tokens.bin", "tokens.json", "checksums.json"]) {
    await keep("pairs.jsonl", cache);
    expect(await find("pairs.jsonl", cache)).not.toBeNull();
    const path = join(folder, "run", "tokens", file);
    await writeFile(path, change(await readFile(path)));
    expect(await find("pairs.jsonl", cache), file).toBeNull();
    await rm(path);
    expect(await find("pairs.jsonl", cache), file).toBeNull();
  }
});

test("tokens that are few are not kept, nor more than the limit, nor any where it is 0", async () => {
  expect(await keep("a.txt", new TokenCache(KEPT))).toBeNull();
  expect(await keep("a.txt", new TokenCache({ ...KEPT, tokenCacheLimit: 0 }, 1))).toBeNull();
  const small = new TokenCache({ ...KEPT, tokenCacheLimit: 1e-7 }, 1);
  expect(await keep("a.txt", small)).toMatch(/^The tokens of the data, .*, are not kept for a resume: that is above/);
  expect(await readdir(folder)).not.toContain("run");
});

test("a folder of one's own has an entry for each data, and the oldest go where it is full", async () => {
  const tokenCache = join(folder, "cache");
  const sizes: number[] = [];
  for (const seed of [1, 2, 3]) {
    await keep("a.txt", new TokenCache({ tokenCache, tokenCacheLimit: 4 }, 1), { seed });
    sizes.push((await readdir(tokenCache)).length);
  }
  expect(sizes).toEqual([1, 2, 3]);
  const read = await readData(await requestOf("a.txt"));
  const { train, validation } = tokensOf(read);
  const tokens = [train, validation].reduce((sum, side) => sum + (side.kind === "texts" ? side.tokens.length : 0), 0);
  const limited = new TokenCache({ tokenCache, tokenCacheLimit: (2.5 * 4 * tokens) / 2 ** 30 }, 1);
  await keep("a.txt", limited, { seed: 4 });
  const left = await Promise.all([1, 2, 3, 4].map(async (seed) => (await find("a.txt", limited, { seed })) !== null));
  expect(left).toEqual([false, false, true, true]);
});

test("tokens that a file claims beyond its samples are refused", async () => {
  const cache = new TokenCache(KEPT, 1);
  await keep("pairs.jsonl", cache);
  const found = await find("pairs.jsonl", cache);
  const source = found!.tokenized.train.source;
  if (source.kind !== "samples") throw new Error("pairs are samples");
  const { facts, bytes } = source.samples.stored;
  const whole = Buffer.concat([...bytes].map((part) => Buffer.from(part)));
  const stored = { read: (target: Uint8Array, at: number) => target.set(whole.subarray(at, at + target.length)) };
  expect(SampleStore.ofStored(stored, 0, facts).at(3)).toEqual(source.samples.at(3));
  whole.writeDoubleLE(1e9, 8 * facts.tokens);
  expect(() => SampleStore.ofStored(stored, 0, facts)).toThrow(RangeError);
});
