import { afterAll, describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { checkpoint } from "../autograd/recompute.js";
import { ConfigError, ShapeError } from "../base/errors.js";
import { Linear } from "../nn/linear.js";
import { Parameter, setTraining } from "../nn/module.js";
import { mul, sum } from "../ops/index.js";
import { clearEvaluationCache, evaluate } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { LoRAAdapter, type LoRAOptions } from "./lora-adapter.js";
import { MergeableLinear } from "./mergeable-layer.js";

afterAll(clearEvaluationCache);

function moments(values: Float32Array): { mean: number; deviation: number; largest: number } {
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance), largest: Math.max(...values.map(Math.abs)) };
}

describe("initialisation", () => {
  const [rank, inFeatures, outFeatures] = [64, 512, 96];
  const create = (initialization: LoRAOptions["initialization"]) =>
    new LoRAAdapter(inFeatures, outFeatures, { rank, ...(initialization && { initialization }) }, new Rng(7));

  test("A is (rank, inFeatures), B is (outFeatures, rank) and zero", () => {
    for (const initialization of [undefined, "xavier", "kaiming", "gaussian"] as const) {
      const { loraA, loraB } = create(initialization);
      expect(loraA.shape).toEqual([64, 512]);
      expect(loraB.shape).toEqual([96, 64]);
      expect(loraB.values.every((value) => value === 0)).toBe(true);
    }
  });

  test("the default is Xavier uniform: bound √(6 / (512 + 64)), deviation bound / √3", () => {
    const { loraA } = create(undefined);
    const bound = 0.10206207261596577;
    const { mean, deviation, largest } = moments(loraA.values);
    expect(loraA.values).toEqual(create("xavier").loraA.values);
    expect(largest).toBeLessThanOrEqual(Math.fround(bound));
    expect(largest).toBeGreaterThan(0.999 * bound);
    expect(Math.abs(mean)).toBeLessThan(0.02 * bound);
    expect(deviation / (bound / Math.sqrt(3))).toBeCloseTo(1, 1.7);
  });

  test.each([
    [8, 0.3535533906],
    [512, 0.0441941738],
    [768, 0.0360843918],
    [4096, 0.015625],
  ])("Kaiming as in PEFT is uniform up to 1 / √%i", (features, bound) => {
    const { loraA } = new LoRAAdapter(features, 8, { rank: 8, initialization: "kaiming" }, new Rng(7));
    const { mean, deviation, largest } = moments(loraA.values);
    expect(largest).toBeLessThanOrEqual(Math.fround(bound));
    expect(largest).toBeGreaterThan(0.9 * bound);
    expect(Math.abs(mean)).toBeLessThan(0.2 * bound);
    expect(Math.abs(deviation / (bound / Math.sqrt(3)) - 1)).toBeLessThan(0.15);
  });

  test("Gaussian has deviation 1 / rank and tails beyond three of them", () => {
    const { mean, deviation, largest } = moments(create("gaussian").loraA.values);
    expect(deviation * 64).toBeCloseTo(1, 1.7);
    expect(Math.abs(mean * 64)).toBeLessThan(0.02);
    expect(largest * 64).toBeGreaterThan(3);
  });

  test("reset brings back exactly what a new adapter has, in the same arrays", () => {
    const adapter = create("xavier");
    const [a, b] = [adapter.loraA.values, adapter.loraB.values];
    a.fill(5);
    b.fill(6);
    adapter.reset(new Rng(7));
    expect(adapter.loraA.values).toBe(a);
    expect(adapter.loraB.values).toBe(b);
    expect(a).toEqual(create("xavier").loraA.values);
    expect(b.every((value) => value === 0)).toBe(true);
  });
});

describe("scaling", () => {
  test.each([
    [{ rank: 4 }, 1],
    [{ rank: 4, alpha: 16 }, 4],
    [{ rank: 4, alpha: 16, rslora: true }, 8],
    [{ rank: 2, alpha: 4, rslora: true }, 2.8284271247461903],
    [{ rank: 4, rslora: true }, 2],
  ] as const)("of %o is %d", (options, scaling) => {
    expect(new LoRAAdapter(8, 8, options, new Rng(0)).scaling).toBeCloseTo(scaling, 12);
  });
});

describe("merging W = [[1, 2, 3], [4, 5, 6]]", () => {
  const A = [1, 0, -1, 0.5, 0.5, 0];
  const B = [1, 2, 0, -1];
  test.each([
    ["rank 1, scaling 4", { rank: 1, alpha: 4 }, [0.5, -1, 2], [0.25, -0.5], [1.5, 1, 5, 3, 7, 2]],
    ["rank 2, scaling 1/4", { rank: 2, alpha: 0.5 }, A, B, [1.5, 2.25, 2.75, 3.875, 4.875, 6]],
    [
      "rank 2, rank-stabilised",
      { rank: 2, alpha: 4, rslora: true },
      A,
      B,
      [6.65685415, 4.82842712, 0.17157287, 2.58578634, 3.58578634, 6],
    ],
  ])("%s", async (_, options, loraA, loraB, merged) => {
    const adapter = new LoRAAdapter(3, 2, options, new Rng(0));
    adapter.loraA.assign(loraA);
    adapter.loraB.assign(loraB);
    const layer = new MergeableLinear(new Linear(new Parameter(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3])), adapter);
    await layer.mergeAdapter(new Rng(1));
    merged.forEach((value, i) => {
      expect(layer.weight.values[i]).toBeCloseTo(value, 5);
    });
  });
});

describe("faults", () => {
  const create = (options: LoRAOptions) => () => new LoRAAdapter(6, 4, options, new Rng(0));

  test.each([0, 5, 2.5, -1, Number.NaN])("rank %d of a layer of 6 inputs and 4 outputs", (rank) => {
    expect(create({ rank })).toThrow(ConfigError);
    expect(create({ rank })).toThrow(`an integer from 1 to 4 for a layer of 6 inputs and 4 outputs, got ${rank}`);
  });

  test.each([1, -0.1, Number.NaN])("dropout %d", (dropout) => {
    expect(create({ rank: 1, dropout })).toThrow(`dropout must be in [0, 1), got ${dropout}`);
  });

  test("an adapter for a layer of another size", () => {
    const adapter = new LoRAAdapter(6, 4, { rank: 1 }, new Rng(0));
    const layer = () => new MergeableLinear(Linear.random(4, 6, new Rng(0)), adapter);
    expect(layer).toThrow(ShapeError);
    expect(layer).toThrow("layer maps 4 to 6 features, adapter 6 to 4");
  });
});

describe("dropout", () => {
  const [rows, features] = [200, 50];
  const ones = tensor(new Float32Array(rows * features).fill(1), [rows, features]);

  /** An adapter whose output is the input as its dropout leaves it: A and B are the identity. */
  function identity(dropout: number): LoRAAdapter {
    const adapter = new LoRAAdapter(features, features, { rank: features, dropout }, new Rng(3));
    for (const parameter of [adapter.loraA, adapter.loraB]) {
      parameter.assign(parameter.values.map((_, i) => (i % (features + 1) === 0 ? 1 : 0)));
    }
    return adapter;
  }

  test("is off in evaluation mode", async () => {
    expect(await identity(0.5).forward(ones).data()).toEqual(await ones.data());
  });

  test("drops its share and scales the rest, so that the expectation stays", async () => {
    const adapter = identity(0.25);
    setTraining(adapter, true);
    const output = Array.from(await adapter.forward(ones).data());
    const dropped = output.filter((value) => value === 0).length;
    expect(new Set(output)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    // Five standard deviations of a binomial around 2500.
    expect(Math.abs(dropped - 2500)).toBeLessThan(5 * Math.sqrt(10_000 * 0.25 * 0.75));
  });

  test("keeps its mask until it is redrawn, also in a graph built before", async () => {
    const adapter = identity(0.5);
    setTraining(adapter, true);
    const output = adapter.forward(ones);
    const first = (await output.data()).slice();
    expect(await output.data()).toEqual(first);
    expect(await adapter.forward(ones).data()).toEqual(first);
    adapter.redrawDropout(new Rng(4));
    const second = (await output.data()).slice();
    expect(second).not.toEqual(first);
    adapter.redrawDropout(new Rng(4));
    expect(await output.data()).toEqual(second);
  });

  test("redraws the masks of every graph, whatever the shapes of their inputs", async () => {
    const adapter = identity(0.5);
    setTraining(adapter, true);
    const outputs = [adapter.forward(ones), adapter.forward(tensor(new Float32Array(500).fill(1), [10, features]))];
    const before = await Promise.all(outputs.map(async (output) => (await output.data()).slice()));
    adapter.redrawDropout(new Rng(4));
    for (const [i, output] of outputs.entries()) expect(await output.data()).not.toEqual(before[i]);
  });

  test("is the same where a checkpoint computes again", async () => {
    const adapter = identity(0.5);
    setTraining(adapter, true);
    const run = (x: typeof ones) => mul(adapter.forward(x), adapter.forward(x));
    const gradients = [run(ones), checkpoint(run, ones)].flatMap((y) => grad(sum(y), [ones, adapter.loraA]));
    const [dx, dA, dxAgain, dAAgain] = await evaluate(gradients);
    // d(mx)²/dx = 2m², with m either 0 or 2.
    expect(new Set(dx!.data)).toEqual(new Set([0, 8]));
    expect(dxAgain!.data).toEqual(dx!.data);
    expect(dAAgain!.data).toEqual(dA!.data);
  });
});
