import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { loadTokenRows } from "./rows.js";

let path = "";
beforeAll(async () => {
  path = join(await mkdtemp(join(tmpdir(), "highrank-rows-")), "rows.jsonl");
});
afterAll(async () => rm(join(path, ".."), { recursive: true }));

const load = async (...lines: string[]) => {
  await writeFile(path, lines.join("\n"));
  return loadTokenRows(path);
};

test("labels move to the token from which they are predicted", async () => {
  const rows = await load('{"input_ids": [5, 6, 7]}', "", '{"input_ids": [1, 2, 3, 4], "labels": [-100, -100, 3, 4]}');
  expect(rows).toEqual([
    { inputIds: Int32Array.of(5, 6), labels: Int32Array.of(6, 7) },
    { inputIds: Int32Array.of(1, 2, 3), labels: Int32Array.of(-100, 3, 4) },
  ]);
});

test.each([
  ['{"text": "a", "labels": [1]}', 'must have "input_ids"; the keys found are "text", "labels"'],
  ["{}", "the keys found are none"],
  ['{"input_ids": "1 2"}', '"input_ids" must be an array of ids from 0 up, got "1 2"'],
  ['{"input_ids": [1, 2.5]}', '"input_ids" must hold ids from 0 up, got 2.5 at index 1'],
  ['{"input_ids": [1, -100]}', '"input_ids" must hold ids from 0 up, got -100 at index 1'],
  ['{"input_ids": [1, 2], "labels": [1, -1]}', '"labels" must hold ids from 0 up, or -100, got -1 at index 1'],
  ['{"input_ids": [1, 2], "labels": [2]}', '"labels" must be as long as "input_ids", got 1 labels for 2 ids'],
  ['{"input_ids": [1]}', '"input_ids" must have at least 2 ids, one to predict the other, got 1'],
])("the row %s is refused by line", async (line, message) => {
  const loading = load('{"input_ids": [1, 2]}', line);
  await expect(loading).rejects.toThrow(DataError);
  await expect(loading).rejects.toThrow(`${path}, line 2: `);
  await expect(loading).rejects.toThrow(message);
});

test("a file without rows is refused", async () => {
  await expect(load("", " ")).rejects.toThrow(/no rows in it/);
});
