import type { AdamWState, UpdateOptions } from "./adamw.js";

/** What `updateTensor` does, as a plain loop in float64: its oracle. */
export function updateInLoop(
  parameter: Float32Array,
  gradient: Float32Array,
  state: AdamWState,
  { beta1, beta2, eps, lr, weightDecay, gradientScale }: UpdateOptions,
): void {
  const { expAvg, expAvgSq } = state;
  state.step++;
  const stepSize = lr / (1 - beta1 ** state.step);
  const root = 1 / Math.sqrt(1 - beta2 ** state.step);
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i]! * gradientScale;
    const m = beta1 * expAvg[i]! + (1 - beta1) * g;
    const v = beta2 * expAvgSq[i]! + (1 - beta2) * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    parameter[i] = parameter[i]! * (1 - lr * weightDecay) - (stepSize * m) / (Math.sqrt(v) * root + eps);
  }
}
