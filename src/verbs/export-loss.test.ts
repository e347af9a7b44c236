import { expect, test } from "vitest";
import { SampleRows, SeparateSamples } from "../data/packing.js";
import { samplesOf } from "./export-loss.js";

const NOT = -100;
const sample = (...labels: number[]) => ({
  ids: Int32Array.from(labels, (_, i) => i + 1),
  labels: Int32Array.from(labels),
});

test("a sample scores each token that is predicted, that behind its first too", () => {
  const samples = [sample(NOT, 2), sample(NOT, NOT, 3), sample(NOT, 2, 3), sample(NOT, 2)];
  for (const rows of [new SeparateSamples(samples), SampleRows.padded(samples, 4)]) {
    const batches = [rows.batch([0, 1], 2), rows.batch([2, 3], 2)];
    const found = samplesOf(batches, 4, 4);
    // The first three score four tokens, which are enough.
    expect([found.count, found.scoredPerRow]).toEqual([3, 4 / 3]);
    const { labels, lengths } = found.batch([0, 1, 2], 3);
    expect([...labels]).toEqual([2, NOT, 3, 2, 3]);
    expect(lengths).toEqual([1, 2, 2]);
  }
});
