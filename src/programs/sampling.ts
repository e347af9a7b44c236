import type { Rng } from "../tensor/random.js";

/** Rule by which the next token is chosen from the model's scores. */
export interface SamplingOptions {
  /** 0 takes the likeliest token; otherwise the logits are divided by it. */
  readonly temperature: number;
  /** Sample from the k likeliest tokens; null for all. */
  readonly topK: number | null;
  /** Sample from the likeliest tokens that together reach this probability (Holtzman et al. 2019, arXiv:1904.09751). */
  readonly topP: number;
}

/**
 * The index of the chosen token. Of equal logits the lower index counts as the likelier. One draw from `rng`, none at
 * 0.
 */
export function sampleToken(logits: Float32Array, { temperature, topK, topP }: SamplingOptions, rng: Rng): number {
  const likeliest = argMax(logits);
  if (temperature === 0) return likeliest;
  const largest = logits[likeliest]!;
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < weights.length; i++) weights[i] = inversePower((largest - logits[i]!) / temperature);
  const tokens =
    topK !== null && topK < logits.length
      ? reaching(topP, likeliestTokens(logits, largest, topK), weights)
      : topP < 1
        ? reachingOfAll(topP, logits, largest, weights)
        : undefined;
  return draw(tokens, weights, rng);
}

/** A token with its natural log probability, as the model has it, whatever is sampled. */
export interface TokenScore {
  readonly id: number;
  readonly logprob: number;
}

/** The scores of a token and, in order, of the `count` likeliest ones. */
export function scoreTokens(logits: Float32Array, token: number, count: number): [TokenScore, ...TokenScore[]] {
  const largest = logits[argMax(logits)]!;
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += inversePower(largest - logits[i]!);
  const scoreOf = (id: number): TokenScore => ({ id, logprob: logits[id]! - largest - Math.log(total) });
  const likeliest = count === 0 ? [] : likeliestTokens(logits, largest, Math.min(count, logits.length));
  return [scoreOf(token), ...Array.from(likeliest, scoreOf)];
}

/** One of `tokens` by their weights; of all tokens where that is undefined. */
function draw(tokens: Uint32Array | undefined, weights: Float64Array, rng: Rng): number {
  const ordered = tokens === undefined ? weights : Float64Array.from(tokens, (token) => weights[token]!);
  let left = rng.uniform() * totalOf(ordered);
  let at = 0;
  while (at < ordered.length - 1) {
    left -= ordered[at]!;
    if (left < 0) break;
    at++;
  }
  return tokens === undefined ? at : tokens[at]!;
}

function totalOf(weights: Float64Array): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i]!;
  return total;
}

/**
 * The shortest start of the ordered `tokens` that holds the share `topP` of `total`; at least one token, and all
 * where they hold less.
 */
function reaching(
  topP: number,
  tokens: Uint32Array,
  weights: Float64Array,
  total: number = totalOf(Float64Array.from(tokens, (token) => weights[token]!)),
): Uint32Array {
  let held = 0;
  for (let i = 0; i < tokens.length; i++) {
    held += weights[tokens[i]!]!;
    if (topP < 1 && held >= topP * total) return tokens.subarray(0, i + 1);
  }
  return tokens;
}

/** Most often a few tokens hold the share, and only they are put in order. */
const FEW = 64;

function reachingOfAll(topP: number, logits: Float32Array, largest: number, weights: Float64Array): Uint32Array {
  const total = totalOf(weights);
  for (let count = FEW; count < logits.length; count *= FEW) {
    const tokens = reaching(topP, likeliestTokens(logits, largest, count), weights, total);
    if (tokens.length < count) return tokens;
  }
  return reaching(topP, likeliestTokens(logits, largest, logits.length), weights, total);
}

/**
 * Logits are told apart by how far they are below the largest, in steps so wide, and all beyond so many steps are
 * one.
 */
const [STEPS_PER_NAT, STEPS] = [16, 1024] as const;

/**
 * The `count` likeliest tokens in order: only those are sorted that are no farther from the largest logit than the
 * last of them.
 */
function likeliestTokens(logits: Float32Array, largest: number, count: number): Uint32Array {
  const stepOf = (logit: number): number => {
    const step = Math.floor((largest - logit) * STEPS_PER_NAT);
    return step < STEPS ? step : STEPS - 1; // NaN too
  };
  const counts = new Uint32Array(STEPS);
  for (let i = 0; i < logits.length; i++) counts[stepOf(logits[i]!)]!++;
  let [last, held] = [0, counts[0]!];
  while (held < count) held += counts[++last]!;
  const near = new Uint32Array(held);
  let found = 0;
  for (let i = 0; i < logits.length; i++) if (stepOf(logits[i]!) <= last) near[found++] = i;
  return near.sort((a, b) => logits[b]! - logits[a]! || a - b).subarray(0, count);
}

/** Steps between two powers of two in the table. */
const PARTS = 256;
const ROOTS = Float64Array.from({ length: PARTS }, (_, i) => 2 ** (-i / PARTS));
const HALVES = Float64Array.from({ length: 1080 }, (_, i) => 2 ** -i);

/**
 * e^(−x) for x ≥ 0, to 1e-11 of it: Math.exp over a vocabulary would take longer than all else about choosing a
 * token.
 */
function inversePower(x: number): number {
  const parts = x * (Math.LOG2E * PARTS);
  const whole = Math.floor(parts);
  if (!(whole < HALVES.length * PARTS)) return x > 0 ? 0 : Number.NaN;
  const rest = (parts - whole) * (Math.LN2 / PARTS);
  return HALVES[whole >>> 8]! * ROOTS[whole & (PARTS - 1)]! * (1 - rest * (1 - rest * (1 / 2 - rest / 6)));
}

function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
