import { describe, expect, test } from "vitest";
import { Rng } from "../tensor/random.js";
import { createAdamWState, type UpdateOptions, updateTensor } from "./adamw.js";
import { updateInLoop } from "./adamw-loop.js";
import { type Gradient, RowGradient, readGradient } from "./gradient.js";

const OPTIONS = { beta1: 0.9, beta2: 0.999, eps: 1e-8, lr: 1e-2, weightDecay: 0.1, gradientScale: 0.5 };

function normal(length: number, purpose: string): Float32Array {
  const rng = new Rng(length, purpose);
  return Float32Array.from({ length }, () => rng.normal());
}

/** Parameter and moments after the updates, by the kernel and by the loop. */
function updated(start: Float32Array, gradients: readonly Gradient[], options: Partial<UpdateOptions> = {}) {
  return [false, true].map((inLoop) => {
    const parameter = start.slice();
    const state = createAdamWState(start.length);
    for (const gradient of gradients) {
      if (inLoop) updateInLoop(parameter, readGradient(gradient), state, { ...OPTIONS, ...options });
      else updateTensor(parameter, gradient, state, { ...OPTIONS, ...options });
    }
    expect(state.step).toBe(gradients.length);
    return { parameter, expAvg: state.expAvg, expAvgSq: state.expAvgSq };
  }) as [Updated, Updated];
}

type Updated = Readonly<Record<"parameter" | "expAvg" | "expAvgSq", Float32Array>>;

/** Each entry within `tolerance` of the loop's, relative to the larger of that and `unit`. */
function expectClose([kernel, loop]: readonly [Updated, Updated], tolerance: number, unit = 0): void {
  for (const name of ["parameter", "expAvg", "expAvgSq"] as const) {
    const worst = loop[name].reduce((most, expected, i) => {
      const found = kernel[name][i]!;
      if (Object.is(found, expected)) return most;
      return Math.max(most, Math.abs(found - expected) / Math.max(Math.abs(expected), unit) || 0);
    }, 0);
    expect(worst, name).toBeLessThan(tolerance);
    expect(Array.from(kernel[name], Number.isFinite), name).toEqual(Array.from(loop[name], Number.isFinite));
  }
}

describe("the kernel of AdamW equals the loop", () => {
  test.each([0, 1, 3, 4, 5, 8191, 8192, 8193, 3 * 8192 + 2])("for %d elements", (length) => {
    const gradients = ["a", "b", "c"].map((purpose) => normal(length, purpose));
    expectClose(updated(normal(length, "parameter"), gradients), 1e-6, 1);
  });

  test("after many steps, when the decays 0.999 and 1 - 1e-7 rounded to float32 would have added up", () => {
    const gradients = Array.from({ length: 4000 }, (_, i) => normal(37, `gradient ${i}`));
    const options = { lr: 1e-5, weightDecay: 1e-2, gradientScale: 1 };
    expectClose(updated(normal(37, "parameter"), gradients, options), 5e-6, 1);
  });

  test.each([
    ["a learning rate of zero", { lr: 0 }],
    ["a learning rate near the largest float32", { lr: 1e38, weightDecay: 0 }],
    ["an eps that float32 lacks", { eps: 1e-60 }],
    ["betas of zero", { beta1: 0, beta2: 0 }],
    ["betas near one", { beta1: 0.9999, beta2: 0.999999 }],
  ])("with %s, where gradients are zero too", (_, options) => {
    const gradients = [new Float32Array(6), Float32Array.of(0, 0, 1, -2, 3, 1e4), Float32Array.of(0, 1, 0, -2, 3, 1)];
    const found = updated(normal(6, "parameter"), gradients, options);
    expectClose(found, 1e-6);
    if ("lr" in options && options.lr === 0) expect(found[0].parameter).toEqual(normal(6, "parameter"));
  });

  test("for gradients as large as their squares allow, and what is not finite stays in its entry", () => {
    const large = Float32Array.of(1, 1e10, -5e20, 1e-10, 2, 3);
    expectClose(updated(normal(6, "parameter"), [large, large]), 2e-6);
    const overflown = updated(normal(1, "parameter"), [Float32Array.of(-1e25), large.subarray(0, 1)])[0];
    expect(overflown.expAvgSq[0]).toBe(Number.POSITIVE_INFINITY);
    expect(overflown.parameter[0]).toBeCloseTo(normal(1, "parameter")[0]! * (1 - 1e-3) ** 2, 6);
    const broken = Float32Array.of(1, Number.NaN, 2, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3);
    const found = updated(normal(6, "parameter"), [broken, broken]);
    expect(Array.from(found[0].parameter, Number.isFinite)).toEqual([true, false, true, false, false, true]);
    expectClose(found, 1e-6);
  });

  test("for the rows of an embedding table, by the bits of the dense gradient: others decay, and move on", () => {
    const [width, rows] = [448, 50];
    const gradients = [[3, 0, 49], [7, 3], [20]].map((indices, step) => {
      return new RowGradient(Int32Array.from(indices), normal(indices.length * width, `step ${step}`), rows * width);
    });
    const start = normal(rows * width, "parameter");
    const found = updated(start, gradients);
    expectClose(found, 1e-6, 1);
    expect(found[0]).toEqual(updated(start, gradients.map(readGradient))[0]);
    const row = (of: Float32Array, i: number) => of.subarray(i * width, (i + 1) * width);
    expect(row(found[0].parameter, 1)[5]! / row(start, 1)[5]!).toBeCloseTo((1 - 1e-3) ** 3, 6);
    const rowMoved = updated(start, gradients.slice(0, 1))[0].parameter;
    expect(Math.abs(row(found[0].parameter, 0)[5]! - row(rowMoved, 0)[5]!)).toBeGreaterThan(1e-3);
  });
});

test("moments that fade become zero before they are denormal, which processors compute slowly", () => {
  const state = createAdamWState(4);
  const parameter = Float32Array.of(1, 1, 1, 1);
  updateTensor(parameter, Float32Array.of(1e-3, 1e-15, 1e-17, 0), state, { ...OPTIONS, gradientScale: 1 });
  expect(Array.from(state.expAvgSq, (value) => value > 0)).toEqual([true, true, false, false]);
  for (let step = 0; step < 900; step++) updateTensor(parameter, new Float32Array(4), state, OPTIONS);
  expect([...state.expAvg]).toEqual([0, 0, 0, 0]);
  expect(state.expAvgSq[0]).toBeCloseTo(1e-9 * 0.999 ** 900, 14);
});
