import { describe, expect, test } from "vitest";
import { createAdamWState } from "../optim/adamw.js";
import { Rng } from "../tensor/random.js";
import { sizeOf } from "../tensor/shape.js";
import { GradientMoments, type PartState, resetMoments } from "./restart-moments.js";

const [RANK, IN, OUT] = [3, 4, 2];
const BETAS = { beta1: 0.9, beta2: 0.99, eps: 1e-8 };

/** States of two adapters after ten updates, their moments counting up from one. */
function states(): PartState[] {
  return ["a", "b"].flatMap((layer) =>
    (["loraA", "loraB"] as const).map((factor, axis) => {
      const shape = factor === "loraA" ? [RANK, IN] : [OUT, RANK];
      const size = sizeOf(shape);
      const state = createAdamWState(size);
      state.step = 10;
      for (const values of [state.expAvg, state.expAvgSq])
        values.set(Float32Array.from({ length: size }, (_, i) => i + 1));
      return { name: `${layer}.adapter.${factor}`, layer, shape, axis, state };
    }),
  );
}

const reset = (each: readonly PartState[], directions: ReadonlyMap<string, readonly number[]>): void =>
  resetMoments(each, directions, { optimizerReset: "reset", pruneRatio: 0.9 }, new Rng(0));

describe("moments at a restart", () => {
  test("of some directions are zero, rows of A and columns of B, and those of the others stay", () => {
    const each = states();
    reset(each, new Map([["a", [1]]]));
    const [a, b, otherA, otherB] = each.map(({ state }) => state);
    expect(Array.from(a!.expAvg)).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 9, 10, 11, 12]);
    expect(Array.from(b!.expAvgSq)).toEqual([1, 0, 3, 4, 0, 6]);
    expect([a!.step, b!.step]).toEqual([10, 10]);
    // The other adapter is not named, so all of it was restarted.
    for (const state of [otherA!, otherB!]) {
      expect([state.step, ...state.expAvg, ...state.expAvgSq].every((value) => value === 0)).toBe(true);
    }
  });

  test("primed, are those that as many updates with the gradients would have left, up to their order", () => {
    const each = states();
    const gradients = [1, -3].map(
      (scale) => new Map(each.map(({ name, state: { expAvg } }) => [name, expAvg.map((_, i) => scale * (i + 1))])),
    );
    const moments = new GradientMoments(each);
    for (const gradient of gradients) moments.add(gradient, 0.5);
    reset(each, new Map([["a", [1]]]));
    moments.prime(each, new Map([["a", [1]]]), BETAS);
    const [a, , otherA] = each.map(({ state }) => state);
    // Entry 4 is the fifth: gradients 2.5 and −7.5, so mean −2.5 and mean of squares 31.25.
    expect(a!.expAvg[4]! / (1 - 0.9 ** 10)).toBeCloseTo(-2.5, 5);
    expect(a!.expAvgSq[4]! / (1 - 0.99 ** 10)).toBeCloseTo(31.25, 4);
    expect([a!.expAvg[3], a!.expAvg[8], a!.step]).toEqual([4, 9, 10]);
    expect(otherA!.step).toBe(2);
    expect(otherA!.expAvg[4]! / (1 - 0.9 ** 2)).toBeCloseTo(-2.5, 5);
    expect(otherA!.expAvgSq[4]! / (1 - 0.99 ** 2)).toBeCloseTo(31.25, 4);
  });

  test("primed, stay fresh where there was no gradient", () => {
    const each = states();
    const moments = new GradientMoments(each);
    moments.add(
      new Map(each.map(({ name, state: { expAvg } }) => [name, expAvg.map(() => (name.endsWith("loraA") ? 0 : 1))])),
      1,
    );
    reset(each, new Map());
    moments.prime(each, new Map(), BETAS);
    expect(each.map(({ state: { step } }) => step)).toEqual([0, 1, 0, 1]);
  });
});
