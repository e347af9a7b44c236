import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, ShapeError } from "../base/errors.js";
import { Rng } from "../tensor/random.js";
import { AdamW, type AdamWState, createAdamWState } from "./adamw.js";
import { clipCoefficient, globalNorm } from "./clip.js";

interface GoldenCase {
  betas: [number, number];
  eps: number;
  maxNorm: number;
  groups: { lr: number; weightDecay: number }[];
  initial: number[][];
  steps: {
    lrMultiplier: number;
    gradients: number[][];
    norm: number;
    parameters: number[][];
    expAvg: number[][];
    expAvgSq: number[][];
  }[];
}

const golden = JSON.parse(readFileSync(new URL("../../tests/golden/adamw.json", import.meta.url), "utf8")) as {
  adamw: GoldenCase[];
};

/** Largest difference, relative to the largest entry. */
function relativeError(actual: Float32Array, expected: readonly number[]): number {
  expect(actual).toHaveLength(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(actual[i]! - value))) / scale;
}

describe("AdamW", () => {
  test("there are three cases from PyTorch", () => {
    expect(golden.adamw).toHaveLength(3);
  });

  test.each(golden.adamw)("agrees with PyTorch, clipping included: betas $betas, eps $eps", (golden) => {
    const parameters = golden.initial.map((values) => Float32Array.from(values));
    const groups = golden.groups.map((group, i) => ({ ...group, parameters: new Map([[`p${i}`, parameters[i]!]]) }));
    const [beta1, beta2] = golden.betas;
    const optimizer = new AdamW(groups, { beta1, beta2, eps: golden.eps });
    for (const step of golden.steps) {
      const gradients = new Map(step.gradients.map((values, i) => [`p${i}`, Float32Array.from(values)]));
      const norm = globalNorm(gradients.values());
      expect(norm / step.norm).toBeCloseTo(1, 6);
      const gradientScale = clipCoefficient(norm, golden.maxNorm);
      optimizer.step(gradients, { lrMultiplier: step.lrMultiplier, gradientScale });
      for (const [i, parameter] of parameters.entries()) {
        const state = optimizer.state.get(`p${i}`)!;
        expect(relativeError(parameter, step.parameters[i]!)).toBeLessThan(1e-6);
        expect(relativeError(state.expAvg, step.expAvg[i]!)).toBeLessThan(1e-6);
        expect(relativeError(state.expAvgSq, step.expAvgSq[i]!)).toBeLessThan(1e-6);
      }
    }
  });

  // After many unit gradients the bias corrections are 1. Then moments vanish while the step counter stays.
  test.each<[string, (state: AdamWState) => void, number[]]>([
    ["both moments", ({ expAvg, expAvgSq }) => [expAvg, expAvgSq].map((a) => a.fill(0)), [-3.1621, -4.249, -4.9502]],
    ["the second moment", ({ expAvgSq }) => expAvgSq.fill(0), [-31.622]],
    ["the first moment", ({ expAvg }) => expAvg.fill(0), [-0.0996]],
  ])("overshoots as PyTorch does when only %s is zeroed and the step counter kept", (_, zero, updates) => {
    const { optimizer, parameter, gradients } = unit();
    for (let i = 0; i < 10_000; i++) optimizer.step(gradients, { lrMultiplier: 1 });
    zero(optimizer.state.get("p")!);
    for (const update of updates) {
      parameter[0] = 0;
      optimizer.step(gradients, { lrMultiplier: 1 });
      // The expected values were read off a parameter near 10,000, whose float32 spacing is 1e-3.
      expect(Math.abs(parameter[0]! - update)).toBeLessThan(1e-3);
    }
  });

  test("each tensor has its own step counter, so that a fresh one takes a full first step", () => {
    const old = unit();
    for (let i = 0; i < 5; i++) old.optimizer.step(old.gradients, { lrMultiplier: 1 });
    const [kept, fresh] = [Float32Array.of(0), Float32Array.of(0)];
    const parameters = new Map([
      ["p", kept],
      ["q", fresh],
    ]);
    const optimizer = new AdamW([{ parameters, lr: 1, weightDecay: 0 }], old.optimizer.options, old.optimizer.state);
    const gradients = new Map([
      ["p", Float32Array.of(1)],
      ["q", Float32Array.of(-2)],
    ]);
    optimizer.step(gradients, { lrMultiplier: 0.5 });
    expect([optimizer.state.get("p")!.step, optimizer.state.get("q")!.step]).toEqual([6, 1]);
    expect(fresh[0]).toBeCloseTo(0.5, 6);
  });

  test("at a learning rate of zero nothing moves, weight decay included", () => {
    const { optimizer, parameter, gradients } = unit(0.1);
    optimizer.step(gradients, { lrMultiplier: 0 });
    expect(parameter[0]).toBe(0);
    parameter[0] = 3;
    optimizer.step(gradients, { lrMultiplier: 0 });
    expect(parameter[0]).toBe(3);
  });

  test("a missing or misshapen gradient is refused before anything moves", () => {
    const parameters = new Map([
      ["a", Float32Array.of(1)],
      ["b", Float32Array.of(1, 2)],
    ]);
    const optimizer = new AdamW([{ parameters, lr: 1, weightDecay: 0 }], { beta1: 0.9, beta2: 0.999, eps: 1e-8 });
    const gradients = new Map([["a", Float32Array.of(1)]]);
    const step = () => optimizer.step(gradients, { lrMultiplier: 1 });
    expect(step).toThrow(ShapeError);
    expect(step).toThrow("AdamW gradient of b: must have 2 elements, got 0");
    expect(parameters.get("a")![0]).toBe(1);
    const known = new Map([["b", createAdamWState(3)]]);
    expect(() => new AdamW(optimizer.groups, optimizer.options, known)).toThrow(
      "AdamW state of b: must have 2 elements",
    );
  });
});

function unit(weightDecay = 0) {
  const parameter = Float32Array.of(0);
  const groups = [{ parameters: new Map([["p", parameter]]), lr: 1, weightDecay }];
  const optimizer = new AdamW(groups, { beta1: 0.9, beta2: 0.999, eps: 1e-8 });
  return { optimizer, parameter, gradients: new Map([["p", Float32Array.of(1)]]) };
}

/** Squares of float32 numbers are exact in float64; their sum is made so by what each addition loses. */
function exactNorm(values: Float32Array): number {
  let [sum, lost] = [0, 0];
  for (const value of values) {
    const [before, square] = [sum, value * value];
    sum += square;
    lost += before > square ? before - sum + square : square - sum + before;
  }
  return Math.sqrt(sum + lost);
}

describe("clipping", () => {
  test("the global norm is that of all gradients together, in float64", () => {
    expect(globalNorm([Float32Array.of(3), Float32Array.of(0, -4)])).toBe(5);
    expect(globalNorm([])).toBe(0);
    // In float32, 2^26 + 1/16 is 2^26.
    expect(globalNorm([Float32Array.of(2 ** 13), new Float32Array(1024).fill(0.25)])).toBe(Math.sqrt(2 ** 26 + 64));
    expect(globalNorm([Float32Array.of(1e30)])).toBeCloseTo(1e30, -24);
    expect(globalNorm([Float32Array.of(2 ** -149)])).toBe(2 ** -149);
    expect(globalNorm([Float32Array.of(1, Number.NaN)])).toBeNaN();
    expect(globalNorm([Float32Array.of(1, Number.NEGATIVE_INFINITY)])).toBe(Number.POSITIVE_INFINITY);
  });

  test("the norm is exact to the last digits, for every length around a chunk of the kernel", () => {
    const rng = new Rng(0);
    const values = Float32Array.from({ length: 2 * 16384 + 9 }, () => rng.normal());
    for (const length of [...Array(18).keys(), 16383, 16384, 16385, 16391, 2 * 16384 + 9]) {
      // Numbers that an earlier call left behind have no part.
      globalNorm([new Float32Array(16384).fill(9)]);
      const exact = exactNorm(values.subarray(0, length));
      expect(Math.abs(globalNorm([values.subarray(0, length)]) - exact)).toBeLessThanOrEqual(1e-15 * exact);
    }
  });

  test("gradients below the limit are left alone, others are scaled down to it", () => {
    expect(clipCoefficient(0.5, 1)).toBe(1);
    expect(clipCoefficient(0, 1)).toBe(1);
    expect(clipCoefficient(4, 1)).toBeCloseTo(0.25, 6);
    expect(clipCoefficient(4, null)).toBe(1);
  });
});

test("what is no group, no gradient and no name of one tensor is refused by name", () => {
  const options = { beta1: 0.9, beta2: 0.99, eps: 1e-8 };
  const group = () => ({ parameters: new Map([["w", Float32Array.of(1)]]), lr: 0.1, weightDecay: 0 });
  for (const [make, fault] of [
    [() => new AdamW([group(), group()], options), `AdamW: "w" is in two groups; give each tensor a name of its own`],
    [() => new AdamW(null as never, options), "AdamW: groups must be a list of which each is an object whose"],
    [() => new AdamW([{ ...group(), parameters: {} as never }], options), "AdamW: groups must be a list"],
    [() => new AdamW([group()], undefined as never), "AdamW: options must be an object, got undefined"],
    [() => new AdamW([group()], options).step({} as never, { lrMultiplier: 1 }), "AdamW.step: gradients must be a Map"],
    [() => new AdamW([group()], options).step(new Map(), undefined as never), "AdamW.step: options must be an object"],
    [() => createAdamWState(-1), "createAdamWState: length must be an integer of at least 0, got -1"],
  ] as const) {
    expect(make).toThrow(ConfigError);
    expect(make).toThrow(fault);
  }
});
