import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { BatchCursor, rowsWithin } from "./cursor.js";
import { type Batch, SampleRows, SeparateSamples, StreamRows } from "./packing.js";

const OPTIONS = { batchSize: 2, seed: 3 };
const SEQUENCE_LENGTH = 4;
const counting = (length: number) => Int32Array.from({ length }, (_, index) => index);
const rowsOf = (length: number) => StreamRows.complete(counting(length), SEQUENCE_LENGTH);

/** First tokens of the rows of a batch. */
function rowStarts({ inputIds }: Batch): number[] {
  return [...inputIds].filter((_, index) => index % SEQUENCE_LENGTH === 0);
}

test("labels are the next tokens, even across the border of rows", () => {
  const { inputIds, labels } = new BatchCursor(rowsOf(9), OPTIONS).next();
  expect([...inputIds].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect([...labels]).toEqual([...inputIds].map((id) => id + 1));
});

test("an epoch visits every row once and leaves out tokens that fill no row", () => {
  const cursor = new BatchCursor(rowsOf(4 * 10 + 1 + 3), OPTIONS);
  expect(cursor.rowsPerEpoch).toBe(10);
  const orders = [0, 1].map(() => [1, 2, 3, 4, 5].flatMap(() => rowStarts(cursor.next())));
  const everyRow = [...counting(10)].map((row) => 4 * row);
  for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(everyRow);
  expect(orders[0]).not.toEqual(orders[1]);
  expect(cursor.position).toEqual({ epoch: 2, row: 0 });
});

test("a batch runs over the end of an epoch, or of several", () => {
  const cursor = new BatchCursor(rowsOf(4 * 3 + 1), { ...OPTIONS, batchSize: 7 });
  const starts = rowStarts(cursor.next());
  expect(starts.slice(0, 3).sort((a, b) => a - b)).toEqual([0, 4, 8]);
  expect(starts.slice(3, 6).sort((a, b) => a - b)).toEqual([0, 4, 8]);
  expect(cursor.position).toEqual({ epoch: 2, row: 1 });
});

test("a cursor that seeks a position continues like the one that reported it", () => {
  const cursor = new BatchCursor(rowsOf(100), { ...OPTIONS, batchSize: 5 });
  for (let i = 0; i < 17; i++) {
    const { position } = cursor;
    const resumed = new BatchCursor(rowsOf(100), { ...OPTIONS, batchSize: 5 });
    resumed.seek(JSON.parse(JSON.stringify(position)));
    expect(resumed.next()).toEqual(cursor.next());
    expect(resumed.position).toEqual(cursor.position);
  }
});

test("the seed fixes the order", () => {
  const order = (seed: number) => rowStarts(new BatchCursor(rowsOf(201), { ...OPTIONS, batchSize: 50, seed }).next());
  expect(order(1)).toEqual(order(1));
  expect(order(1)).not.toEqual(order(2));
});

test("errors for too few tokens and for a position outside the data say what there is", () => {
  const short = () => new BatchCursor(rowsOf(4), OPTIONS);
  expect(short).toThrow(DataError);
  expect(short).toThrow(/needs at least 5 tokens, the data has 4; shorten sequenceLength or bring more data/);
  const cursor = new BatchCursor(rowsOf(9), OPTIONS);
  for (const position of [
    { epoch: 0, row: 2 },
    { epoch: -1, row: 0 },
    { epoch: 0, row: 0.5 },
  ]) {
    expect(() => cursor.seek(position)).toThrow(DataError);
  }
  expect(cursor.position).toEqual({ epoch: 0, row: 0 });
});

test("samples are visited once per epoch, whole, and a cursor resumes among them", () => {
  const samples = [3, 5, 2, 4, 5, 3].map((length, i) => {
    const ids = Int32Array.from({ length }, (_, k) => 10 * (i + 1) + k);
    return { ids, labels: ids.map((id, k) => (k < 2 && length > 2 ? -100 : id)) };
  });
  const rows = SampleRows.packed(samples, 6);
  const cursor = new BatchCursor(rows, OPTIONS);
  const seen: number[] = [];
  for (let i = 0; i < rows.count / 2; i++) {
    const { position } = cursor;
    const batch = cursor.next();
    const resumed = new BatchCursor(rows, OPTIONS);
    resumed.seek(position);
    expect(resumed.next()).toEqual(batch);
    for (const label of batch.labels) if (label !== -100) seen.push(label);
  }
  expect(rows.count).toBe(4);
  const scored = samples.flatMap(({ labels }) => [...labels.subarray(1)].filter((label) => label !== -100));
  expect(seen.sort((a, b) => a - b)).toEqual(scored);
});

test("the rows within a number of tokens are those that a cursor takes until they are used up", () => {
  expect([15, 16, 4 * 23 + 3].map((tokens) => rowsWithin(tokens, rowsOf(4 * 10 + 1), 3))).toEqual([3, 4, 23]);
  // Behind the last token that predicts one which is scored, none is computed.
  const samples = [3, 5, 4, 6, 3].map((length) => {
    return { ids: counting(length), labels: counting(length).map((id) => (id < length - 2 ? id : -100)) };
  });
  const separate = new SeparateSamples(samples);
  const cursor = new BatchCursor(separate, { batchSize: 1, seed: 8 });
  expect(cursor.tokensPerRow).toBe(8 / 5);
  let tokens = 0;
  for (let rows = 0; rows < 23; rows++) {
    const next = tokens + cursor.next().inputIds.length;
    for (let within = tokens; within < next; within++) expect(rowsWithin(within, separate, 8)).toBe(rows);
    tokens = next;
  }
  // A batch of more rows than there are takes rows again; an evaluation does not.
  expect(separate.shapeOf(12, true)).toEqual({ batchSize: 12, sequenceLength: 3, mostTokens: 2 * 8 + 3 + 2 });
  expect(separate.shapeOf(12)).toEqual({ batchSize: 12, sequenceLength: 3, mostTokens: 8 });
  // Padding is none of them.
  const padded = SampleRows.padded(samples, 8);
  expect(padded.tokensOf(3)).toBe(6);
  expect(rowsWithin(2 * 21, padded, 8)).toBe(10);
});
