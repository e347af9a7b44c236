import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256 } from "#platform";
import { Table } from "./csv-format.js";
import { openDataset } from "./dataset.js";
import { holdOut } from "./hold-out.js";
import { JsonLines } from "./jsonl-format.js";
import { SampleRows, SeparateSamples } from "./packing.js";
import { Records } from "./record-parts.js";
import { sampledTexts } from "./record-texts.js";
import type { TokenLabels } from "./rows.js";
import { SampleStore, type Samples } from "./sample-store.js";
import { DOCUMENT_MARK, DOCUMENT_UNITS, DocumentSplitter } from "./text-format.js";
import { TokenStore } from "./token-store.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-parts-"));
});
afterAll(() => rm(folder, { recursive: true }));

interface Reader<T> {
  take(part: string): T[];
  end(): T[];
}

/** A reader's values of a text in two parts, or its fault, for each place between them. */
function cutAnywhere<T>(text: string, newReader: () => Reader<T>): unknown[] {
  return Array.from({ length: text.length + 1 }, (_, at) => {
    const reader = newReader();
    try {
      return [...reader.take(text.slice(0, at)), ...reader.take(text.slice(at)), ...reader.end()];
    } catch (error) {
      return (error as Error).message;
    }
  });
}

const TEXT = "one\r\ntwo \n\n \t\nthree\rfour\n\r\n\nfive\n \u2003\n six\r";

test.each(DOCUMENT_UNITS)("documents by %s do not depend on where the text is cut", (unit) => {
  for (const text of [TEXT, `a\n\nb${DOCUMENT_MARK}\nc\r\n\r\nd${DOCUMENT_MARK}${DOCUMENT_MARK}e`]) {
    const found = cutAnywhere(text, () => new DocumentSplitter("a.txt", unit, text.includes(DOCUMENT_MARK)));
    expect(new Set(found.map((each) => JSON.stringify(each))).size).toBe(1);
  }
  const splitter = new DocumentSplitter("a.txt", "paragraph", false);
  expect([...splitter.take(TEXT), ...splitter.end()]).toEqual(["one\ntwo", "three\nfour", "five", "six"]);
});

test.each<[what: string, text: string, newReader: (text: string) => Reader<unknown>]>([
  ["lines", '{"a": 1}\r\n\n{"a": "x\\n"}\n{"b":', () => new JsonLines("a.jsonl", (value, line) => [line, value])],
  ["lines without a fault", '{"a": 1}\n\n{"a": 2}', () => new JsonLines("a.jsonl", (value, line) => [line, value])],
  ["rows", 'a,b\r\n1,"x ""y""\r\n,z"\n\n"",2\r"3",4', () => new Table("a.csv", ",", (value, line) => [line, value])],
  ["rows with faults", 'a,b\n1\n2,3,4\n"5"6,7\n8,9', () => new Table("a.csv", ",", (value, line) => [line, value])],
  ["a quote without an end", 'a,b\n1,2\n3,"4\n5,6\n', () => new Table("a.csv", ",", (value, line) => [line, value])],
])("%s do not depend on where the text is cut", (_, text, newReader) => {
  const found = cutAnywhere(text, () => newReader(text));
  expect(new Set(found.map((each) => JSON.stringify(each)))).toEqual(new Set([JSON.stringify(found[0])]));
});

const LINES = Array.from({ length: 500 }, (_, i) => ({ prompt: `Say ${i % 90} é`, completion: "x".repeat(i % 7) }));

test("records that are read anew each time are those that are held in memory, on the same sides", async () => {
  const path = join(folder, "a.jsonl");
  await writeFile(path, LINES.map((line) => JSON.stringify(line)).join("\n"));
  const sidesOf = async (heldBytes: number) => {
    const dataset = await holdOut(await openDataset(path, {}, heldBytes), { validationFraction: 0.2, seed: 3 });
    const { train, validation } = dataset;
    const sides = { train: await train.all(), validation: await validation.all(), first: await validation.first(2) };
    expect([train.count, validation.count]).toEqual([sides.train.length, sides.validation.length]);
    return { ...sides, texts: await sampledTexts(train, 300), both: await train.followedBy(validation).first(450) };
  };
  const read = await sidesOf(0);
  expect(read).toEqual(await sidesOf(1e6));
  expect(read.validation.length).toBeGreaterThan(50);
});

test("instructions of which one has a context are conversations, also where they are read anew", async () => {
  const path = join(folder, "instructions.jsonl");
  const plain = { instruction: "Add.", output: "3" };
  await writeFile(path, [plain, { ...plain, system: "Be exact." }].map((line) => JSON.stringify(line)).join("\n"));
  const { kind, train } = await openDataset(path, {}, 0);
  expect([kind, ...(await train.all()).map((record) => record.kind)]).toEqual(["messages", "messages", "messages"]);
});

test("a text of several parts is read as one", async () => {
  const path = join(folder, "long.txt");
  const documents = Array.from({ length: 3000 }, (_, i) => `${i} ${"äöü€ ".repeat(i % 400)}`.trim());
  await writeFile(path, documents.join("\r\n\r\n"));
  const shares: number[] = [];
  const { train } = await openDataset(path, { onProgress: (share) => shares.push(share) }, 0);
  expect((await train.all()).map((record) => record.kind === "text" && record.text)).toEqual(documents);
  expect(shares).toEqual([...shares.slice(0, shares.length / 2), ...shares.slice(0, shares.length / 2)]);
  expect([shares[0]! > 0 && shares[0]! < 1, shares.at(-1)]).toEqual([true, 1]);
  await appendFile(path, DOCUMENT_MARK);
  expect((await openDataset(path, {}, 0)).train.count).toBe(1);
});

test("data that change while they are read are refused", async () => {
  const path = join(folder, "growing.jsonl");
  await writeFile(path, '{"text": "a"}\n');
  const { train } = await openDataset(path, {}, 0);
  expect(await train.all()).toHaveLength(1);
  await writeFile(path, '{"text": "b"}\n');
  await expect(train.all()).rejects.toThrow("growing.jsonl: was changed while it was read; do not write into data");
});

test("a view of records has those that it keeps", async () => {
  const records = Records.of(
    LINES.map((_, i) => ({ place: { path: "a", unit: "line", number: i }, kind: "text", text: "" })),
  );
  expect((await records.where((index) => index % 2 === 0, 250).all()).map(({ place }) => place.number)).toEqual(
    Array.from({ length: 250 }, (_, i) => 2 * i),
  );
});

test.each([10, 1000])("samples are the same in a file and in memory, at most %d tokens of them", (heldTokens) => {
  const samples = Array.from({ length: 50 }, (_, i) => {
    const ids = Int32Array.from({ length: 2 + ((i * 7) % 5) }, (_, at) => (i * 31 + at) % 97);
    const labels = ids.map((id, at) => (at < (i % 3) + 1 ? -100 : id));
    return { ids, labels, place: { path: i < 30 ? "a" : "b", unit: "line", number: 2 * i } as const };
  });
  const store = new SampleStore(heldTokens);
  store.append(samples);
  expect([...store]).toEqual(samples);
  expect([store.length, store.largest, store.at(50)]).toEqual([50, 96, undefined]);
  for (const at of [49, 0, 17, 18, 30]) expect(store.at(at)).toEqual(samples[at]);
  const ways = [
    SampleRows.padded,
    SampleRows.packed,
    (each: Samples<TokenLabels>) => new SeparateSamples(each),
  ] as const;
  for (const rowsOf of ways) {
    const [own, expected] = [rowsOf(store, 8), rowsOf(samples, 8)];
    expect(own.batch([3, 1], 2)).toEqual(expected.batch([3, 1], 2));
    expect(sha256(own.content)).toBe(sha256(expected.content));
    expect([own.count, own.scoredPerRow, own.padding]).toEqual([
      expected.count,
      expected.scoredPerRow,
      expected.padding,
    ]);
  }
});

test.each([10, 1000])("tokens are the same in a file and in memory, at most %d of them", (heldTokens) => {
  const store = new TokenStore(heldTokens);
  const all = Int32Array.from({ length: 300 }, (_, i) => (i * 7919) % 301);
  for (let at = 0; at < 300; at += 9) store.append(all.subarray(at, Math.min(300, at + 9)));
  expect([store.length, store.largest]).toEqual([300, 300]);
  expect(store.subarray(0, 300)).toEqual(all);
  expect(store.subarray(17, 31)).toEqual(all.subarray(17, 31));
});
