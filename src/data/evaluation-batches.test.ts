import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { evaluationBatches } from "./evaluation-batches.js";
import { SampleRows, StreamRows } from "./packing.js";

const counting = (length: number) => Int32Array.from({ length }, (_, index) => index);

test.each([2, 5, 8, 9, 10, 24, 25, 26])("each of %i tokens except the first is scored once", (length) => {
  const batches = [...evaluationBatches(StreamRows.all(counting(length), 4), { batchSize: 2 })];
  expect(batches).toHaveLength(Math.ceil((length - 1) / 8));
  const scored: number[] = [];
  for (const { inputIds, labels } of batches) {
    expect([inputIds.length, labels.length]).toEqual([8, 8]);
    for (const [i, label] of labels.entries()) {
      if (label === -100) continue;
      expect(inputIds[i]).toBe(label - 1);
      scored.push(label);
    }
  }
  expect(scored).toEqual([...counting(length)].slice(1));
});

test("a limit keeps rows from the whole stream", () => {
  const batches = [...evaluationBatches(StreamRows.all(counting(401), 4), { batchSize: 3, maxTokens: 17 })];
  const rows = batches.flatMap(({ labels }) => [...labels].filter((label) => label !== -100));
  expect(rows).toEqual([1, 2, 3, 4, 101, 102, 103, 104, 201, 202, 203, 204, 301, 302, 303, 304]);
});

test("batches can be read again", () => {
  const batches = evaluationBatches(StreamRows.all(counting(30), 4), { batchSize: 2 });
  expect([...batches]).toEqual([...batches]);
});

test("a single token cannot be evaluated", () => {
  expect(() => evaluationBatches(StreamRows.all(counting(1), 4), { batchSize: 2 })).toThrow(DataError);
});

test("samples are scored by their labels, each by itself, up to the number of tokens allowed", () => {
  const sample = (first: number) => {
    const ids = Int32Array.from({ length: 4 }, (_, k) => first + k);
    return { ids, labels: ids.map((id, k) => (k === 1 ? -100 : id)) };
  };
  const rows = SampleRows.padded([10, 20, 30, 40].map(sample), 5);
  const batches = [...evaluationBatches(rows, { batchSize: 3 })];
  expect([...batches[0]!.inputIds.subarray(0, 5)]).toEqual([10, 11, 12, 13, 0]);
  expect([...batches[0]!.labels.subarray(0, 5)]).toEqual([-100, 12, 13, -100, -100]);
  const scored = (some: typeof batches) => some.flatMap(({ labels }) => [...labels].filter((label) => label >= 0));
  expect(scored(batches)).toEqual([12, 13, 22, 23, 32, 33, 42, 43]);
  expect(scored([...evaluationBatches(rows, { batchSize: 3, maxTokens: 5 })])).toEqual([12, 13, 32, 33]);
});
