import { afterAll, describe, expect, test } from "vitest";
import { createQuantizedWeight } from "../quant/quantized-linear.js";
import { createQuantizer, type QuantizationFormat } from "../quant/quantizer.js";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { addTerms, type LowRankTerm, productOf } from "./low-rank-term.js";
import { createMergePolicy, MERGE_POLICIES, MERGE_POLICY_KINDS, type MergePolicyName } from "./merge-policies.js";

afterAll(clearEvaluationCache);

const [OUT, IN, RANK] = [96, 128, 8];
const SIZE = OUT * IN;
const DEVIATION = 0.02;

function random(length: number, deviation: number, purpose: string): Float32Array {
  const rng = new Rng(7, purpose);
  return Float32Array.from({ length }, () => deviation * rng.normal());
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const minus = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value - b[i]!);

/** A term whose entries have a deviation of `step` times that of the weight. */
function smallTerm(step: number): LowRankTerm {
  return {
    rank: RANK,
    scaling: 2,
    loraA: random(RANK * IN, 1, "A"),
    loraB: random(OUT * RANK, (step * DEVIATION) / 2 / Math.sqrt(RANK), "B"),
  };
}

/** Merges the same small term again and again into a quantized weight. */
async function mergeAll(format: QuantizationFormat, policyName: MergePolicyName, step: number, merges = 20) {
  const base = random(SIZE, DEVIATION, "weight");
  const weight = createQuantizedWeight([OUT, IN], createQuantizer(format));
  weight.assign(base);
  const before = weight.values();
  const merged: LowRankTerm[] = [];
  const policy = createMergePolicy(policyName, () => addTerms(base, merged));
  const sum = new Float64Array(SIZE);
  const term = smallTerm(step);
  const update = (await productOf(term).data()) as Float32Array;
  for (let i = 0; i < merges; i++) {
    merged.push(term);
    await policy.merge(weight, update, new Rng(i, "rounding"));
    for (let k = 0; k < SIZE; k++) sum[k]! += update[k]!;
  }
  const total = Float32Array.from(sum);
  const recovered = (now: Float32Array, start: Float32Array) => dot(minus(now, start), total) / dot(total, total);
  const exact = await policy.exactWeight(weight);
  return {
    /** Of the sum of all updates, in what is saved and in the weight that computes. */
    saved: recovered(exact, MERGE_POLICY_KINDS[policyName].exactFrom === "log" ? base : before),
    computing: recovered(weight.values(), before),
    /** Largest distance of what is saved from base + Σ updates, as a share of the weight's deviation. */
    savedError:
      Math.max(
        ...minus(
          exact,
          Float32Array.from(base, (value, i) => value + total[i]!),
        ).map(Math.abs),
      ) / DEVIATION,
  };
}

// Steps, as shares of the weight's deviation, that one rounding to nearest loses: they are well below half a
// quantization step.
const STEPS: readonly [QuantizationFormat, number][] = [
  ["nf4", 0.01],
  ["fp4", 0.01],
  ["int8", 0.002],
];

describe.each(STEPS)("twenty merges into %s, each of %f of the weight's deviation", (format, step) => {
  test("requantize loses nearly all of it, so that the others have something to show", async () => {
    expect((await mergeAll(format, "requantize", step)).computing).toBeLessThan(0.05);
  });

  test.each(["delta-log", "residual"] as const)(
    "%s keeps the sum exactly, and the weight follows it",
    async (policy) => {
      const { saved, computing, savedError } = await mergeAll(format, policy, step);
      expect(saved).toBeGreaterThan(0.9999);
      expect(saved).toBeLessThan(1.0001);
      expect(savedError).toBeLessThan(1e-5);
      expect(computing).toBeGreaterThan(0.98);
      expect(computing).toBeLessThan(1.02);
    },
  );

  test("error-feedback keeps what rounding loses for the next merge", async () => {
    const { saved, computing } = await mergeAll(format, "error-feedback", step);
    expect(saved).toBeGreaterThan(0.9999);
    expect(computing).toBeGreaterThan(0.9);
  });

  test("stochastic is right in the mean", async () => {
    const { computing } = await mergeAll(format, "stochastic", step);
    expect(computing).toBeGreaterThan(0.9);
    expect(computing).toBeLessThan(1.1);
  });
});

test.each(MERGE_POLICIES)("%s is what its record says", async (name) => {
  const weight = createQuantizedWeight([OUT, IN], createQuantizer("nf4"));
  weight.assign(random(SIZE, DEVIATION, "weight"));
  const master = random(SIZE, DEVIATION, "master");
  let asked = 0;
  const { exactFrom, carriesError, startsFromResidual, create } = MERGE_POLICY_KINDS[name];
  const policy = create(async () => {
    asked++;
    return master;
  });
  expect(policy).toMatchObject({ startsFromResidual, exactFrom });
  await policy.merge(weight, random(SIZE, DEVIATION / 50, "update"), new Rng(1, "rounding"));
  const exact = await policy.exactWeight(weight);
  expect(asked > 0).toBe(exactFrom === "log");
  if (exactFrom === "layer") expect(minus(exact, weight.values()).some((error) => error !== 0)).toBe(carriesError);
});

test("every policy takes up an update that is large against the quantization step", async () => {
  for (const policy of MERGE_POLICIES) expect((await mergeAll("nf4", policy, 0.3, 1)).computing).toBeGreaterThan(0.95);
});
