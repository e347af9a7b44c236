import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { loadDataset } from "./dataset.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-parquet-"));
});
afterAll(async () => rm(folder, { recursive: true }));

// Made by tests/data/parquet_golden.py with pyarrow.
const golden = (name: string) => fileURLToPath(new URL(`../../tests/golden/parquet/${name}.parquet`, import.meta.url));
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

test.each<[name: string, content: () => Promise<Uint8Array>, message: RegExp]>([
  ["none", async () => new TextEncoder().encode("text, of course"), /not a Parquet file/],
  ["empty", async () => new Uint8Array(0), /not a Parquet file/],
  ["truncated", async () => (await readFile(golden("text-snappy"))).subarray(0, 500), /not a Parquet file/],
  ["without-middle", async () => withoutMiddle(await readFile(golden("messages-snappy"))), /not a Parquet file/],
  [
    "columns",
    () => readFile(golden("other-columns")),
    /none of the columns input_ids, .*; its columns are question, answer/,
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
