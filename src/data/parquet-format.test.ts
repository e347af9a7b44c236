import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { parquetMetadata } from "hyparquet";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { PythonFloat } from "../python/float.js";
import { loadDataset } from "./dataset.js";
import { unlz4, unlz4Framed } from "./lz4.js";
import { type ParquetFile, rowGroups } from "./parquet-pages.js";
import { openParquetRows, requireOwnSizes } from "./parquet-rows.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-parquet-"));
});
afterAll(async () => rm(folder, { recursive: true }));

// Made by tests/data/parquet_golden.py with pyarrow.
const golden = (name: string) => fileURLToPath(new URL(`../../tests/golden/parquet/${name}.parquet`, import.meta.url));

/** The rows of a file in memory, in the parts in which they come. */
async function parquetParts(bytes: Uint8Array, partBytes?: number): Promise<(readonly Record<string, unknown>[])[]> {
  const { buffer } = new Uint8Array(bytes);
  const file: ParquetFile = { byteLength: bytes.length, slice: async (start, end) => buffer.slice(start, end) };
  const table = await openParquetRows(file, { partBytes });
  const parts: (readonly Record<string, unknown>[])[] = [];
  for await (const part of table.parts()) parts.push(part);
  return parts;
}

const load = (path: string) => loadDataset(path, { validationFraction: 0 });

test("columns of text are read, compressed or not, and unknown columns are left out", async () => {
  const { kind, format, train } = await load(golden("text-snappy"));
  expect([kind, format]).toEqual(["text", "parquet"]);
  expect(train).toEqual(
    [1, 2, 3, 4, 5].map((number) => ({
      place: { path: golden("text-snappy"), unit: "row", number },
      kind: "text",
      text: `document ${number - 1}: é🙂`,
    })),
  );
  expect((await load(golden("text-plain"))).train).toMatchObject([{ text: "one" }, { text: "two" }, { text: "one" }]);
});

test("texts keep a byte order mark, and are refused if they are not UTF-8", async () => {
  const bytes = await readFile(golden("text-plain"));
  const changed = (three: readonly number[]): Uint8Array => {
    const copy = Buffer.from(bytes);
    for (let at = copy.indexOf("one"); at >= 0; at = copy.indexOf("one")) copy.set(three, at);
    return copy;
  };
  expect((await parquetParts(changed([0xef, 0xbb, 0xbf]))).flat()).toEqual([
    { text: "\ufeff" },
    { text: "two" },
    { text: "\ufeff" },
  ]);
  await expect(parquetParts(changed([0xff, 0x61, 0x61]))).rejects.toThrow("it holds a text that is not UTF-8");
});

test.each<[name: string, partsAtLeast: number]>([
  ["pages-headers", 8],
  ["pages-second", 8],
  ["pages-lists-indexed", 6],
  ["pages-lists", 1],
])("a large group of rows is read in parts where its pages can be told: %s", async (name, partsAtLeast) => {
  const bytes = await readFile(golden(name));
  const whole = await parquetParts(bytes);
  const parts = await parquetParts(bytes, 4000);
  expect(whole).toHaveLength(1);
  expect(parts.length).toBeGreaterThanOrEqual(partsAtLeast);
  expect(parts.flat()).toEqual(whole[0]);
  expect(whole[0]!.length).toBe(name.includes("lists") ? 400 : 2000);
});

test("messages are read from lists in several row groups", async () => {
  const { kind, train } = await load(golden("messages-snappy"));
  expect(kind).toBe("messages");
  expect(train.map((record) => record.kind === "messages" && record.conversation)).toEqual(
    [0, 1, 2, 3, 4].map((i) => ({
      messages: [
        { role: "user", content: `What is ${i} + ${i}?` },
        { role: "assistant", content: `It is ${2 * i}. 🙂` },
      ],
    })),
  );
});

test("a null input means none, and 64-bit integers are ids", async () => {
  const { train: tasks } = await load(golden("instruction-plain"));
  expect(tasks[0]).toMatchObject({
    completion: "3",
    prompt: expect.stringContaining("### Input:\n1 2\n\n### Response:\n"),
  });
  expect(tasks[1]).toMatchObject({ completion: "Done.", prompt: expect.not.stringContaining("### Input") });
  const { train: rows } = await load(golden("rows-snappy"));
  expect(rows).toMatchObject([
    { tokens: { ids: Int32Array.of(1, 2, 3), labels: Int32Array.of(-100, 2, 3) } },
    { tokens: { ids: Int32Array.of(4, 5), labels: Int32Array.of(-100, 5) } },
  ]);
});

test.each(["gzip", "brotli", "lz4"])("pages compressed with %s are read", async (codec) => {
  const { train } = await load(golden(`text-${codec}`));
  const texts = train.map((record) => record.kind === "text" && record.text);
  expect(texts).toEqual([...Array(3).fill("compressed another way"), ...Array(30).fill("é🙂".repeat(40))]);
});

test("numbers have the digits of the file, and objects only the keys that are theirs", async () => {
  const { train } = await load(golden("numbers-zstd"));
  expect(train[0]).toMatchObject({ kind: "messages" });
  const [, first, second] = train[0]!.kind === "messages" ? train[0]!.conversation.messages : [];
  expect(first).toEqual({
    role: "assistant",
    tool_calls: [{ name: "f", arguments: { id: 9007199254740993n } }],
  });
  expect(second).toEqual({
    role: "assistant",
    content: "",
    tool_calls: [{ name: "g", arguments: { x: new PythonFloat(20), y: 0.5, n: 3 } }],
  });
});

test("a column of JSON is parsed, and keeps its nulls", async () => {
  const { train } = await load(golden("json-zstd"));
  expect(train[0]!.kind === "messages" && train[0]!.conversation.messages).toEqual([
    { role: "user", content: null, n: new PythonFloat(20) },
    { role: "assistant", content: "a" },
  ]);
});

test("compressed text files are read, and damaged ones refused by name", async () => {
  const zst = fileURLToPath(new URL("../../tests/golden/parquet/text.jsonl.zst", import.meta.url));
  expect((await load(zst)).train).toMatchObject([{ text: "one" }, { text: "two" }]);
  const gz = join(folder, "text.jsonl.gz");
  await writeFile(gz, gzipSync('{"text": "three"}\n'));
  expect(await load(gz)).toMatchObject({ format: "jsonl", train: [{ text: "three" }] });
  for (const [name, bytes] of [
    ["a.jsonl.gz", gzipSync("x".repeat(100)).subarray(0, 15)],
    ["b.jsonl.zst", (await readFile(zst)).subarray(0, 20)],
    ["c.jsonl.zst", Buffer.from("no such thing")],
  ] as const) {
    await writeFile(join(folder, name), bytes);
    await expect(load(join(folder, name))).rejects.toThrow(new RegExp(`${name}: cannot decompress (gzip|zstd)`));
  }
});

test("compressed text that holds too much for its size is refused with the limit", async () => {
  const bomb = join(folder, "bomb.txt.gz");
  await writeFile(bomb, gzipSync(Buffer.alloc(2 ** 27, "a")));
  await expect(load(bomb)).rejects.toThrow(
    /bomb\.txt\.gz: cannot decompress gzip: it holds more than \d+ bytes; decom/,
  );
});

test("columns of any names are read where --columns gives them roles", async () => {
  const columns = ["prompt=frage", "completion=antwort"];
  const { kind, train, unused } = await loadDataset(golden("other-columns"), { validationFraction: 0, columns });
  expect([kind, unused.keys]).toEqual(["question-answer", []]);
  expect(train).toMatchObject([{ prompt: "a\n", completion: "b" }]);
});

test("LZ4 blocks, as they are and in Hadoop's frames", () => {
  // Four literals, a match of eight bytes two back, five literals.
  const block = Uint8Array.of(0x44, 97, 98, 99, 100, 2, 0, 0x50, 1, 2, 3, 4, 5);
  const content = [97, 98, 99, 100, 99, 100, 99, 100, 99, 100, 99, 100, 1, 2, 3, 4, 5];
  expect([...unlz4(block, 17)]).toEqual(content);
  const framed = Uint8Array.of(0, 0, 0, 17, 0, 0, 0, 13, ...block);
  expect([...unlz4Framed(Uint8Array.of(...framed, ...framed), 34)]).toEqual([...content, ...content]);
  expect([...unlz4Framed(block, 17)]).toEqual(content);
  for (const length of [16, 18]) expect(() => unlz4(block, length)).toThrow(DataError);
  expect(() => unlz4(Uint8Array.of(0x44, 97, 98, 99, 100, 9, 0, 0), 20)).toThrow(DataError);
});

test.each<[name: string, content: () => Promise<Uint8Array>, message: RegExp]>([
  ["none", async () => new TextEncoder().encode("text, of course"), /not a Parquet file/],
  ["empty", async () => new Uint8Array(0), /not a Parquet file/],
  ["truncated", async () => (await readFile(golden("text-snappy"))).subarray(0, 500), /not a Parquet file/],
  ["without-middle", async () => withoutMiddle(await readFile(golden("messages-snappy"))), /not a Parquet file/],
  [
    "columns",
    () => readFile(golden("other-columns")),
    /none of the columns input_ids, .*; its columns are frage, antwort; say which is which with columns/,
  ],
])("a file that is %s is refused by name", async (name, content, message) => {
  const path = join(folder, `${name}.parquet`);
  await writeFile(path, await content());
  await expect(load(path)).rejects.toThrow(DataError);
  await expect(load(path)).rejects.toThrow(message);
  await expect(load(path)).rejects.toThrow(`${name}.parquet: `);
});

function withoutMiddle(bytes: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed.fill(0xff, 4, 400);
  return changed;
}

/** A file of no rows whose footer, in Thrift's compact protocol, names this many optional columns of text. */
function wideFile(columns: number, rows = 0): Uint8Array {
  const variable = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...variable(Math.floor(value / 128))];
  const named = (name: string, ...more: number[]) => [0x35, 2, 0x18, name.length, ...Buffer.from(name), ...more, 0];
  const column = [0x15, 12, 0x25, 2, 0x18, 4, ...Buffer.from("text"), 0];
  const root = named("r", 0x15, ...variable(2 * columns));
  const footer = [0x15, 2, 0x19, 0xfc, ...variable(columns + 1), ...root];
  for (let i = 0; i < columns; i++) footer.push(...column);
  // One group of rows without a column, or none.
  const group = [0x19, 0x0c, 0x16, 0, 0x16, ...variable(2 * rows), 0];
  footer.push(0x16, ...variable(2 * rows), ...(rows === 0 ? [0x19, 0x0c] : [0x19, 0x1c, ...group]), 0);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return new Uint8Array([...Buffer.from("PAR1"), ...footer, ...length, ...Buffer.from("PAR1")]);
}

test("a file of more columns than any data have is refused before its rows are looked for", async () => {
  expect(await parquetParts(wideFile(1))).toEqual([]);
  await expect(parquetParts(wideFile(20_001))).rejects.toThrow(
    new DataError("it has 20001 columns, more than 20000; write those that are wanted to a file of their own"),
  );
});

test("rows that the bytes of a file cannot hold are refused", async () => {
  await expect(parquetParts(wideFile(1, 2 ** 31))).rejects.toThrow(
    /^it is said to have 2147483648 rows, which its \d+ bytes cannot hold; write it anew$/,
  );
});

test("columns that are said to be larger than the file are refused", async () => {
  const bytes = await readFile(golden("pages-headers"));
  const metadata = parquetMetadata(new Uint8Array(bytes).buffer);
  const [group] = metadata.row_groups;
  const groups = rowGroups({ ...metadata, row_groups: [group!, group!] }, new Set(["text"]));
  expect(() => requireOwnSizes(groups, bytes.length)).toThrow(
    /^its columns are said to have \d+ bytes, but it has \d+; write it anew$/,
  );
});
