import type { Rng } from "../tensor/random.js";

/** How the next token is chosen from the model's scores. */
export interface SamplingOptions {
  /** 0 takes the likeliest token; otherwise the logits are divided by it. */
  readonly temperature: number;
  /** Sample from the k likeliest tokens; null for all. */
  readonly topK: number | null;
  /** Sample from the likeliest tokens that together reach this probability (Holtzman et al. 2019, arXiv:1904.09751). */
  readonly topP: number;
}

/** The index of the chosen token. Of equal logits the lower index counts as the likelier. One draw from `rng`, none at 0. */
export function sampleToken(logits: Float32Array, { temperature, topK, topP }: SamplingOptions, rng: Rng): number {
  if (temperature === 0) return argMax(logits);
  const largest = logits[argMax(logits)]!;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const order = Uint32Array.from(weights.keys());
  if (topK !== null || topP < 1) order.sort((a, b) => weights[b]! - weights[a]! || a - b);
  const candidates = keepLikeliest(order.subarray(0, topK ?? order.length), weights, topP);
  let left = rng.uniform() * sumOf(candidates, weights);
  for (const token of candidates) {
    left -= weights[token]!;
    if (left < 0) return token;
  }
  return candidates.at(-1)!;
}

/** The shortest start of the ordered `tokens` that holds the share `topP` of their weight; at least one token. */
function keepLikeliest(tokens: Uint32Array, weights: Float64Array, topP: number): Uint32Array {
  if (topP >= 1) return tokens;
  const enough = topP * sumOf(tokens, weights);
  let held = 0;
  for (const [index, token] of tokens.entries()) {
    held += weights[token]!;
    if (held >= enough) return tokens.subarray(0, index + 1);
  }
  return tokens;
}

function sumOf(tokens: Uint32Array, weights: Float64Array): number {
  let total = 0;
  for (const token of tokens) total += weights[token]!;
  return total;
}

function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
