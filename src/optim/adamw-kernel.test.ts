import { expect, test } from "vitest";
import { Rng } from "../tensor/random.js";
import { createAdamWState, updateTensor } from "./adamw.js";
import { AdamWKernel } from "./adamw-kernel.js";

const OPTIONS = { beta1: 0.9, beta2: 0.999, eps: 1e-8, lr: 1e-2, weightDecay: 0.1, gradientScale: 0.5 };

test("a learning rate of zero changes moments but no parameter", async () => {
  const kernel = new AdamWKernel({ threads: 2 });
  const length = 128 * 1024;
  const [parameter, gradient] = [new Float32Array(length).fill(3), new Float32Array(length).fill(2, 10)];
  const state = createAdamWState(length);
  await kernel.update(parameter, gradient, state, { ...OPTIONS, lr: 0 });
  expect(parameter.every((value) => value === 3)).toBe(true);
  expect(state.expAvg[17]).toBeCloseTo(0.1, 6);
  await kernel.release();
});

test("compiled updates equal the plain loop, for one chunk, for several and for tensors too small for one", async () => {
  const kernel = new AdamWKernel({ threads: 2 });
  for (const length of [5, 256 * 1024, 2 * 256 * 1024 + 3]) {
    const draw = (purpose: string) => {
      const rng = new Rng(length, purpose);
      return Float32Array.from({ length }, () => rng.normal());
    };
    const [fast, slow] = [draw("parameter"), draw("parameter")];
    const [fastState, slowState] = [createAdamWState(length), createAdamWState(length)];
    for (let step = 0; step < 3; step++) {
      const gradient = draw(`gradient${step}`);
      await kernel.update(fast, gradient, fastState, OPTIONS);
      updateTensor(slow, gradient, slowState, OPTIONS);
    }
    expect(fastState.step).toBe(3);
    for (const [a, b] of [
      [fast, slow],
      [fastState.expAvg, slowState.expAvg],
      [fastState.expAvgSq, slowState.expAvgSq],
    ] as const) {
      let [worst, largest] = [0, 0];
      for (let i = 0; i < length; i++) {
        worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
        largest = Math.max(largest, Math.abs(b[i]!));
      }
      expect(worst / largest).toBeLessThan(1e-6);
    }
  }
  await kernel.release();
});
