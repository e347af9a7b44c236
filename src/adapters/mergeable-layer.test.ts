import { afterAll, describe, expect, test } from "vitest";
import { expectClose } from "../../tests/ops/close.js";
import { ConfigError, ShapeError } from "../base/errors.js";
import { Linear } from "../nn/linear.js";
import { Parameter } from "../nn/module.js";
import { createQuantizedWeight, QuantizedLinear } from "../quant/quantized-linear.js";
import { createQuantizer } from "../quant/quantizer.js";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { LinearAdapter } from "./linear-adapter.js";
import { LoRAAdapter } from "./lora-adapter.js";
import { addTerms, type LowRankTerm, productOf } from "./low-rank-term.js";
import { deltaLog, type MergePolicy, residual } from "./merge-policies.js";
import { MergeableLinear, MergeableQuantizedLinear } from "./mergeable-layer.js";

afterAll(clearEvaluationCache);

const [OUT, IN, RANK, ROWS] = [24, 32, 4, 12];

function random(length: number, deviation: number, purpose: string): Float32Array {
  const rng = new Rng(5, purpose);
  return Float32Array.from({ length }, () => deviation * rng.normal());
}

const floats = async (x: Tensor): Promise<Float32Array> => ((await x.data()) as Float32Array).slice();

/** A quantized layer whose adapter has learned something, and the master weight that it is merged from. */
function build(policyOf: (master: () => Promise<Float32Array>) => MergePolicy) {
  const base = random(OUT * IN, 0.02, "weight");
  const weight = createQuantizedWeight([OUT, IN], createQuantizer("nf4", { blockSize: 32 }));
  weight.assign(base);
  const adapter = new LoRAAdapter(IN, OUT, { rank: RANK, alpha: 2 * RANK }, new Rng(1));
  adapter.loraB.assign(random(OUT * RANK, 0.01, "B"));
  const merged: LowRankTerm[] = [];
  const layer = new MergeableQuantizedLinear(
    new QuantizedLinear(weight),
    adapter,
    policyOf(() => addTerms(base, merged)),
  );
  return { base, weight, adapter, layer, merged };
}

/** Inputs that span `dimensions` directions. */
function inputs(dimensions: number): Float32Array {
  const [coordinates, directions] = [random(ROWS * dimensions, 1, "rows"), random(dimensions * IN, 1, "directions")];
  return Float32Array.from({ length: ROWS * IN }, (_, i) => {
    let value = 0;
    for (let d = 0; d < dimensions; d++) {
      value += coordinates[Math.floor(i / IN) * dimensions + d]! * directions[d * IN + (i % IN)]!;
    }
    return value;
  });
}

describe("MergeableQuantizedLinear", () => {
  test("adds what the adapter makes to what the packed weight makes", async () => {
    const { layer, weight, adapter } = build(deltaLog);
    const x = tensor(random(ROWS * IN, 1, "x"), [3, 4, IN]);
    const plain = new Linear(new Parameter(weight.values(), [OUT, IN]));
    const y = layer.forward(x);
    expect(y.shape).toEqual([3, 4, OUT]);
    expectClose("y", await floats(y), await floats(new MergeableLinear(plain, adapter).forward(x)), 2e-6);
  });

  test("a merge says what became of the update, and leaves a fresh adapter", async () => {
    const { layer, weight, adapter, merged } = build(deltaLog);
    const [before, codes, term] = [weight.values(), weight.snapshot(), await adapter.learned()];
    const update = await floats(productOf(term));
    merged.push(term);
    const { deltaNorm, recovered, codesChanged } = await layer.mergeAdapter(new Rng(2));
    expect(deltaNorm).toBeCloseTo(Math.hypot(...update), 5);
    const change = weight.values().map((value, i) => value - before[i]!);
    const projection = change.reduce((sum, value, i) => sum + value * update[i]!, 0);
    expect(recovered).toBeCloseTo(projection / deltaNorm ** 2, 5);
    expect(Math.abs(recovered - 1)).toBeLessThan(0.2);
    expect(codesChanged).toBe(weight.countChanged(codes) / weight.size);
    expect(codesChanged).toBeGreaterThan(0.1);
    expect(adapter.loraB.values.every((value) => value === 0)).toBe(true);
    expect(adapter.starts().size).toBe(0);
  });

  test("residual leaves the output as it was where the inputs need no more directions than the rank has", async () => {
    const [seen, unseen] = [inputs(RANK), inputs(4 * RANK)];
    const outputs = async (policy: typeof deltaLog, data: Float32Array) => {
      const { layer, adapter, merged } = build(policy);
      const y = layer.forward(tensor(data, [ROWS, IN]));
      const before = await floats(y);
      merged.push(await adapter.learned());
      await layer.mergeAdapter(new Rng(2), { inputs: { rows: ROWS, data } });
      const after = await floats(y);
      return Math.hypot(...after.map((value, i) => value - before[i]!)) / Math.hypot(...before);
    };
    expect(await outputs(residual, seen)).toBeLessThan(1e-5);
    expect(await outputs(deltaLog, seen)).toBeGreaterThan(0.02);
    expect(await outputs(residual, unseen)).toBeLessThan(0.8 * (await outputs(deltaLog, unseen)));
  });

  test("an adapter that started elsewhere than at zero logs only what it has learned since", async () => {
    const { layer, adapter, merged } = build(residual);
    merged.push(await adapter.learned());
    await layer.mergeAdapter(new Rng(2), { inputs: { rows: ROWS, data: inputs(RANK) } });
    expect(adapter.loraB.values.some((value) => value !== 0)).toBe(true);
    expect((await adapter.learned()).rank).toBe(2 * RANK);
    const zero = await floats(productOf(await adapter.learned()));
    expect(Math.max(...zero.map(Math.abs))).toBeLessThan(1e-7);
    const start = await floats(adapter.calculateWeightUpdate());
    adapter.loraA.assign(adapter.loraA.values.map((value) => 1.5 * value));
    const now = await floats(adapter.calculateWeightUpdate());
    const learned = await floats(productOf(await adapter.learned()));
    expectClose(
      "learned",
      learned,
      now.map((value, i) => value - start[i]!),
      2e-5,
    );
    adapter.reset(new Rng(3));
    expect((await adapter.learned()).rank).toBe(RANK);
  });

  test("refuses an adapter of another size, and one that can only start at zero under residual", async () => {
    const { layer, weight, merged } = build(residual);
    const linear = new QuantizedLinear(weight);
    const other = new LoRAAdapter(IN + 1, OUT, { rank: 2 }, new Rng(0));
    expect(() => new MergeableQuantizedLinear(linear, other)).toThrow(ShapeError);
    class Fixed extends LinearAdapter {
      override reset(): void {}
      override calculateWeightUpdate(): Tensor {
        return tensor(new Float32Array(OUT * IN), [OUT, IN]);
      }
    }
    const fixed = new MergeableQuantizedLinear(linear, new Fixed(IN, OUT), layer.policy);
    expect(merged).toHaveLength(0);
    await expect(fixed.mergeAdapter(new Rng(0))).rejects.toThrow(ConfigError);
  });
});
