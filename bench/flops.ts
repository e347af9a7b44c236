import type { Preset, StepOptions } from "./step-options.js";

/**
 * Floating-point operations of the matrix multiplications of one training step, a multiply-add counted as 2. For T tokens
 * in rows of S, layers L, hidden size d, intermediate size i, vocabulary V, rank r:
 *
 *     linears   L · (4 d·d + 3 d·i) · T · 2 · passes   passes: 3 (output, input gradient, weight gradient), 2 when frozen
 *     adapters  L · r · (4 · 2d + 3 (d + i)) · T · 2 · 3
 *     attention L · T·S·d · 2 products · 2 · 3          whole S × S matrices, although half of each is masked
 *     head      d·V · T · 2 · 3
 *
 * What a side recomputes or saves is not counted, so the figure is the same for all.
 */
export function stepFlops(preset: Preset, { method, rank, vocab, batch, sequence }: StepOptions): number {
  const { hidden_size: d, intermediate_size: i, num_hidden_layers: layers } = preset;
  const tokens = batch * sequence;
  const linears = layers * (4 * d * d + 3 * d * i) * tokens * 2 * (method === "full" ? 3 : 2);
  const adapters = method === "full" ? 0 : layers * rank * (4 * 2 * d + 3 * (d + i)) * tokens * 2 * 3;
  const attention = layers * tokens * sequence * d * 2 * 2 * 3;
  const head = d * vocab * tokens * 2 * 3;
  return linears + adapters + attention + head;
}
