import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Rng } from "../tensor/random.js";
import { type AdamWState, createAdamWState } from "./adamw.js";
import { magnitudeQuantile, pruneAtRandom, pruneByMagnitude, resetOptimizerState, zeroShare } from "./reset.js";

const X = [0.1, -0.9, 0.3, 0.05, -0.7, 0.2, 1.5, -0.4, 0, 0.6];
const Y = [1, 2, 2, 2, -2, 3, -4, 0];

/** The survivors of magnitude pruning, in order. */
function survivors(values: readonly number[], ratio: number): number[] {
  const pruned = Float32Array.from(values);
  pruneByMagnitude(pruned, ratio);
  return values.filter((value, i) => {
    expect([0, Math.fround(value)]).toContain(pruned[i]! + 0);
    return pruned[i] !== 0;
  });
}

describe("magnitude pruning", () => {
  test.each<[number[], number, number, number[]]>([
    [X, 0.5, 0.35, [-0.9, -0.7, 1.5, -0.4, 0.6]],
    [X, 0.8, 0.74, [-0.9, 1.5]],
    [X, 0.9, 0.96, [1.5]],
    [X, 0.99, 1.446, [1.5]],
    [X, 0.999, 1.4946, [1.5]],
    [Y, 0.25, 1.75, [2, 2, 2, -2, 3, -4]],
    [Y, 0.5, 2.0, [3, -4]],
    [Y, 0.75, 2.25, [3, -4]],
    [Y, 0.9, 3.3, [-4]],
    [[0.5, 0.5, 0.5, 0.5], 0.5, 0.5, []],
    [[0, 0, 0], 0.9, 0, []],
  ])("of %j with ratio %d has the threshold %d", (values, ratio, threshold, kept) => {
    expect(magnitudeQuantile(Float32Array.from(values), ratio)).toBeCloseTo(threshold, 6);
    expect(survivors(values, ratio)).toEqual(kept);
  });

  const golden = JSON.parse(readFileSync(new URL("../../tests/golden/adamw.json", import.meta.url), "utf8")) as {
    pruning: { ratio: number; values: number[]; threshold: number; pruned: number[] }[];
  };

  test("agrees with torch.quantile on random tensors", () => {
    expect(golden.pruning).toHaveLength(16);
    for (const { ratio, values, threshold, pruned } of golden.pruning) {
      const array = Float32Array.from(values);
      expect(magnitudeQuantile(array, ratio)).toBeCloseTo(threshold, 5); // torch interpolates in float32
      pruneByMagnitude(array, ratio);
      for (const [i, value] of pruned.entries()) expect(array[i]! + 0).toBe(value + 0);
    }
  });

  test("finds every rank of a large tensor with ties and all magnitudes, as sorting does", () => {
    const rng = new Rng(3, "quantile");
    const values = Float32Array.from({ length: 2001 }, () => Math.fround(rng.normal() * 10 ** rng.below(30)));
    values.fill(0.25, 100, 300);
    const sorted = values.map(Math.abs).sort();
    const view = new Float32Array(values.buffer, 4, 2000); // a part of a buffer: the first value stays out
    expect(magnitudeQuantile(view, 0)).toBe(view.map(Math.abs).sort()[0]);
    for (let rank = 0; rank <= 2000; rank += 50) expect(magnitudeQuantile(values, rank / 2000)).toBe(sorted[rank]);
  });
});

describe("random pruning", () => {
  test("drops the given share and leaves the rest as it is", () => {
    const values = new Float32Array(20_000).fill(2);
    pruneAtRandom(values, 0.9, new Rng(1, "prune"));
    const kept = values.filter((value) => value !== 0);
    expect(kept.every((value) => value === 2)).toBe(true);
    expect(kept.length / values.length).toBeGreaterThan(0.09);
    expect(kept.length / values.length).toBeLessThan(0.11);
  });
});

describe("resetting the optimizer state", () => {
  const shareOf = (entries: readonly (readonly [string, AdamWState])[]): number => zeroShare(entries.map(([, s]) => s));

  function states() {
    const state = { ...createAdamWState(4000), step: 17 };
    state.expAvg.forEach((_, i) => {
      state.expAvg[i] = i + 1;
      state.expAvgSq[i] = 4000 - i;
    });
    return [["layer.lora_A", state]] as const;
  }

  test("reset zeroes both moments and the step counter", () => {
    const entries = states();
    resetOptimizerState(entries, { method: "reset" }, new Rng(0));
    expect(shareOf(entries)).toBe(1);
    expect(entries[0][1]).toEqual(createAdamWState(4000));
  });

  test("magnitude pruning keeps the largest of each moment, and the step counter", () => {
    const entries = states();
    resetOptimizerState(entries, { method: "magnitude", ratio: 0.9 }, new Rng(0));
    expect(shareOf(entries)).toBe(0.9);
    const [, { expAvg, expAvgSq, step }] = entries[0];
    expect([expAvg[3599], expAvg[3600], expAvgSq[399], expAvgSq[400], step]).toEqual([0, 3601, 3601, 0, 17]);
  });

  test("random pruning draws anew for each moment, from the tensor's name alone", () => {
    const [first, second] = [states(), states()];
    resetOptimizerState(first, { method: "random", ratio: 0.5 }, new Rng(0, "reset", 3));
    expect(shareOf(first)).toBeGreaterThan(0.47);
    expect(shareOf(first)).toBeLessThan(0.53);
    const other = [["other", { ...createAdamWState(8) }] as const, ...second];
    resetOptimizerState(other, { method: "random", ratio: 0.5 }, new Rng(0, "reset", 3));
    expect(second).toEqual(first);
    const [, { expAvg, expAvgSq, step }] = first[0];
    const both = expAvg.filter((m, i) => m !== 0 && expAvgSq[i] !== 0).length;
    expect(both / 4000).toBeGreaterThan(0.2);
    expect(both / 4000).toBeLessThan(0.3);
    expect(step).toBe(17);
  });

  test("an empty state resets without an error", () => {
    resetOptimizerState([], { method: "reset" }, new Rng(0));
    expect(shareOf([])).toBe(0);
    pruneByMagnitude(new Float32Array(0), 0.5);
  });
});
