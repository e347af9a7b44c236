import type { Preset, StepOptions } from "./step-options.js";

/**
 * Floating-point operations of the matrix multiplications that one training step needs, a multiply-add counted as 2. For
 * T tokens in rows of S, layers L, hidden size d, width k of keys and values, intermediate size i, vocabulary V, rank r:
 *
 *     linears   L · (2 d·d + 2 d·k + 3 d·i) · T · 2 · passes   passes: 3 (output, input gradient, weight gradient), 2 when frozen
 *     adapters  L · r · (6 d + 2 k + 3 (d + i)) · T · 2 · 3
 *     attention L · T·S·d · 2 products · 2 · 3 / 2             the half of each S × S matrix that is not masked
 *     head      d·V · T · 2 · passes
 *
 * What a side computes twice, or masks after it has computed it, is not counted, so the figure is the same for all.
 */
export function stepFlops(preset: Preset, { method, rank, vocab, batch, sequence, microBatches }: StepOptions): number {
  const { hidden_size: d, intermediate_size: i, num_hidden_layers: layers, num_attention_heads: heads } = preset;
  const k = (d / heads) * (preset.num_key_value_heads ?? heads);
  const tokens = microBatches * batch * sequence;
  const passes = (trained: boolean): number => (trained ? 3 : 2);
  const linears = layers * (2 * d * d + 2 * d * k + 3 * d * i) * tokens * 2 * passes(method === "full");
  const adapters = method === "full" ? 0 : layers * rank * (6 * d + 2 * k + 3 * (d + i)) * tokens * 2 * 3;
  const attention = (layers * tokens * sequence * d * 2 * 2 * 3) / 2;
  const head = d * vocab * tokens * 2 * passes(method !== "lora");
  return linears + adapters + attention + head;
}

/** Numbers that one step updates: the adapters', and with `relora` those of embedding, norms and an untied head too. */
export function trainedNumbers(preset: Preset, { method, rank, vocab }: StepOptions): number {
  const { hidden_size: d, intermediate_size: i, num_hidden_layers: layers, num_attention_heads: heads } = preset;
  const k = (d / heads) * (preset.num_key_value_heads ?? heads);
  const linears = layers * (2 * d * d + 2 * d * k + 3 * d * i);
  const adapters = layers * rank * (6 * d + 2 * k + 3 * (d + i));
  const others = (preset.tie_word_embeddings ? 1 : 2) * vocab * d + (2 * layers + 1) * d;
  return { lora: adapters, relora: adapters + others, full: linears + others }[method];
}
