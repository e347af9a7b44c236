import { afterAll, describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { ConfigError } from "../base/errors.js";
import { Linear } from "../nn/linear.js";
import { Parameter } from "../nn/module.js";
import { mul, sum } from "../ops/index.js";
import { clearEvaluationCache, evaluate } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { CoreAdapter } from "./core-adapter.js";
import { MergeableLinear } from "./mergeable-layer.js";

afterAll(clearEvaluationCache);

const [IN, OUT, RANK, SCALING] = [6, 5, 3, 0.5];

type Matrix = readonly (readonly number[])[];

/** Row-major values as rows of float64, and products of such, apart from the library. */
const rowsOf = (values: ArrayLike<number>, columns: number): number[][] =>
  Array.from({ length: values.length / columns }, (_, i) => Array.from(values).slice(i * columns, (i + 1) * columns));
const product = (a: Matrix, b: Matrix): number[][] =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((total, value, k) => total + value * b[k]![j]!, 0)));
const transpose = (a: Matrix): number[][] => a[0]!.map((_, j) => a.map((row) => row[j]!));

async function valuesOf(...outputs: Tensor[]): Promise<Float32Array[]> {
  return (await evaluate(outputs)).map(({ data }) => (data as Float32Array).slice());
}

function create(): CoreAdapter {
  return new CoreAdapter(IN, OUT, { rank: RANK, alpha: SCALING * RANK }, new Rng(3));
}

function withCore(): CoreAdapter {
  const adapter = create();
  adapter.core.assign(Float32Array.from({ length: RANK * RANK }, (_, i) => Math.sin(i + 1)));
  return adapter;
}

/** scaling · B · C · A in float64. */
function updateOf({ loraA, loraB, core }: CoreAdapter): number[] {
  const dense = product(product(rowsOf(loraB.values, RANK), rowsOf(core.values, RANK)), rowsOf(loraA.values, IN));
  return dense.flat().map((value) => SCALING * value);
}

function expectNear(actual: ArrayLike<number>, expected: readonly number[], digits = 6): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => void expect(actual[i]).toBeCloseTo(value, digits));
}

/** The largest entry of M · Mᵀ − I. */
function errorOfRows(rows: Matrix): number {
  const gram = product(rows, transpose(rows));
  return Math.max(...gram.flatMap((row, i) => row.map((value, j) => Math.abs(value - (i === j ? 1 : 0)))));
}

describe("a core adapter", () => {
  test("trains its core alone, which starts at zero between orthonormal bases", () => {
    const adapter = create();
    expect(adapter.parts.map(({ parameter }) => parameter)).toEqual([adapter.core]);
    expect([adapter.loraA, adapter.loraB].map(({ trainable }) => trainable)).toEqual([false, false]);
    expect(adapter.core.values.every((value) => value === 0)).toBe(true);
    expect(errorOfRows(rowsOf(adapter.loraA.values, IN))).toBeLessThan(1e-6);
    expect(errorOfRows(transpose(rowsOf(adapter.loraB.values, RANK)))).toBeLessThan(1e-6);
  });

  test("computes x ΔWᵀ, and ΔW is scaling · B · C · A", async () => {
    const adapter = withCore();
    const x = Float32Array.from({ length: 2 * IN }, (_, i) => Math.cos(i));
    const [y] = await valuesOf(adapter.forward(tensor(x, [2, IN])));
    const update = updateOf(adapter);
    expectNear(y!, product(rowsOf(x, IN), transpose(rowsOf(update, IN))).flat());
    expectNear((await adapter.calculateWeightUpdate().data()) as Float32Array, update);
    const { rank, scaling, loraA, loraB } = await adapter.learned();
    expectNear(
      product(rowsOf(loraB, rank), rowsOf(loraA, IN))
        .flat()
        .map((value) => scaling * value),
      update,
    );
  });

  test("gives its core the gradient that differences say", async () => {
    const adapter = withCore();
    const x = tensor(
      Float32Array.from({ length: 2 * IN }, (_, i) => Math.cos(i)),
      [2, IN],
    );
    const y = adapter.forward(x);
    const [gradient] = await valuesOf(...grad(sum(mul(y, y)), [adapter.core]));
    const inputs = rowsOf(
      Float32Array.from({ length: 2 * IN }, (_, i) => Math.cos(i)),
      IN,
    );
    const loss = (): number => {
      const outputs = product(inputs, transpose(rowsOf(updateOf(adapter), IN)));
      return outputs.flat().reduce((total, value) => total + value ** 2, 0);
    };
    const differences = Array.from(adapter.core.values, (value, i) => {
      const step = 2 ** -7;
      adapter.core.values[i] = value + step;
      const above = loss();
      adapter.core.values[i] = value - step;
      const below = loss();
      adapter.core.values[i] = value;
      return (above - below) / (2 * step);
    });
    expectNear(gradient!, differences, 4);
  });

  test("starts in a gradient: what it spans is left, its own rank of it at most", async () => {
    const adapter = create();
    const weight = Array.from({ length: OUT }, (_, i) => Array.from({ length: IN }, (_, j) => Math.sin(7 * i + j)));
    // Of rank 2: sines of a sum of angles.
    adapter.probe();
    const x = tensor(Float32Array.from(weight.flat()), [OUT, IN]);
    // The loss is ⟨G, ΔW⟩, whose gradient is G.
    const loss = sum(mul(x, adapter.calculateWeightUpdate()));
    const [loraA, loraB] = await valuesOf(...grad(loss, [adapter.loraA, adapter.loraB]));
    const seen = new Map([
      ["loraA", loraA!],
      ["loraB", loraB!],
    ]);
    adapter.startIn(seen, new Rng(1));
    expect(adapter.core.values.every((value) => value === 0)).toBe(true);
    const gradient = (await valuesOf(...grad(loss, [adapter.core])))[0]!;
    adapter.turn([new Map([["core", gradient]])]);
    const turned = rowsOf((await valuesOf(...grad(loss, [adapter.core])))[0]!, RANK);
    expectNear(gradient, turned.flat());
    const [first, second] = [turned[0]![0]!, turned[1]![1]!];
    expect(first).toBeGreaterThan(second);
    expect(
      Math.max(...turned.flatMap((row, i) => row.map((value, j) => (i === j ? 0 : Math.abs(value))))),
    ).toBeLessThan(1e-5);
    // ‖G‖² is the sum of its squared singular values.
    const squares = weight.flat().reduce((total, value) => total + value ** 2, 0);
    expect((first / SCALING) ** 2 + (second / SCALING) ** 2).toBeCloseTo(squares, 4);
    const [a, b] = [rowsOf(adapter.loraA.values, IN), rowsOf(adapter.loraB.values, RANK)];
    expect(errorOfRows(a)).toBeLessThan(1e-6);
    expect(errorOfRows(transpose(b))).toBeLessThan(1e-6);
    const inside = product(product(b, product(product(transpose(b), weight), transpose(a))), a);
    expectNear(inside.flat(), weight.flat(), 5);
  });

  test("merges without changing what the layer computes, and starts over", async () => {
    const linear = new Linear(
      new Parameter(
        Float32Array.from({ length: OUT * IN }, (_, i) => Math.sin(i)),
        [OUT, IN],
      ),
    );
    const adapter = withCore();
    const layer = new MergeableLinear(linear, adapter);
    const x = tensor(
      Float32Array.from({ length: 2 * IN }, (_, i) => Math.cos(i)),
      [2, IN],
    );
    const [before] = await valuesOf(layer.forward(x));
    const bases = adapter.loraA.values.slice();
    const { recovered } = await layer.mergeAdapter(new Rng(8));
    expect(recovered).toBeCloseTo(1, 5);
    const [after] = await valuesOf(layer.forward(x));
    expectNear(after!, [...before!], 5);
    expect(adapter.core.values.every((value) => value === 0)).toBe(true);
    expect(adapter.loraA.values).not.toEqual(bases);
  });

  test("keeps its bases as its start, and refuses to start elsewhere than at zero", async () => {
    const [one, other] = [create(), withCore()];
    other.reset(new Rng(9));
    one.restoreStarts(other.starts());
    expect(one.loraA.values).toEqual(other.loraA.values);
    expect(one.starts()).toEqual(other.starts());
    expect([...one.starts().keys()]).toEqual(["loraA", "loraB"]);
    await expect(one.startNear(new Float32Array(OUT * IN), new Rng(0))).rejects.toThrow(ConfigError);
  });
});
