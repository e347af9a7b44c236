import { expect, test } from "vitest";
import { Rng } from "../tensor/random.js";
import { createAdamWState, updateTensor } from "./adamw.js";
import { AdamWKernel } from "./adamw-kernel.js";

const OPTIONS = { beta1: 0.9, beta2: 0.999, eps: 1e-8, lr: 1e-2, weightDecay: 0.1, gradientScale: 0.5 };

test("several compiled updates equal the plain loop, over chunk borders and for tensors below one chunk", async () => {
  const kernel = await AdamWKernel.compile({ threads: 2 });
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
