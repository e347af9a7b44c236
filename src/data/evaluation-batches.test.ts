import { expect, test } from "vitest";
import { DataError } from "../tensor/errors.js";
import { evaluationBatches } from "./evaluation-batches.js";

const counting = (length: number) => Int32Array.from({ length }, (_, index) => index);

test.each([2, 5, 8, 9, 10, 24, 25, 26])("of %i tokens, each but the first is scored once", (length) => {
  const batches = [...evaluationBatches(counting(length), { sequenceLength: 4, batchSize: 2 })];
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
  const batches = [...evaluationBatches(counting(401), { sequenceLength: 4, batchSize: 3, maxTokens: 17 })];
  const rows = batches.flatMap(({ labels }) => [...labels].filter((label) => label !== -100));
  expect(rows).toEqual([1, 2, 3, 4, 101, 102, 103, 104, 201, 202, 203, 204, 301, 302, 303, 304]);
});

test("batches can be read again", () => {
  const batches = evaluationBatches(counting(30), { sequenceLength: 4, batchSize: 2 });
  expect([...batches]).toEqual([...batches]);
});

test("a single token cannot be evaluated", () => {
  expect(() => evaluationBatches(counting(1), { sequenceLength: 4, batchSize: 2 })).toThrow(DataError);
});
