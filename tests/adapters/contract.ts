import { afterAll, describe, expect, test } from "vitest";
import { type FrozenWeight, frozenWeight } from "../../src/adapters/frozen-weight.js";
import type { LinearAdapter } from "../../src/adapters/linear-adapter.js";
import { updateOf } from "../../src/adapters/low-rank-term.js";
import { MergeableLinear } from "../../src/adapters/mergeable-layer.js";
import { grad } from "../../src/autograd/grad.js";
import { applyLinear, Linear } from "../../src/nn/linear.js";
import { countElements, namedParameters, setTraining } from "../../src/nn/module.js";
import { mul, sum } from "../../src/ops/index.js";
import { clearEvaluationCache, evaluate } from "../../src/runtime/evaluate.js";
import { Rng } from "../../src/tensor/random.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../ops/close.js";

/** The facts of an adapter class that the contract must know. */
export interface AdapterSubject {
  readonly create: (inFeatures: number, outFeatures: number, rng: Rng, weight: FrozenWeight) => LinearAdapter;
  readonly parameterCount: (inFeatures: number, outFeatures: number) => number;
  /** Names of the parameters that a first step moves; the gradient of all others is zero then. */
  readonly movesFirst: readonly string[];
  /** Names of the parameters that are never trained. Default none. */
  readonly frozenParts?: readonly string[];
  /** Largest entry of ΔW at the start, where rounding keeps it from zero. Default 0. */
  readonly startsWithin?: number;
}

const IN = 7;
const OUT = 5;
/** float32 rounding over sums of a few terms, relative to the largest entry. */
const TOLERANCE = 2e-6;

/** The tests that every adapter must pass, to be called inside `describe`. */
export function testAdapterContract({
  create,
  parameterCount,
  movesFirst,
  frozenParts = [],
  startsWithin = 0,
}: AdapterSubject): void {
  const random = (purpose: string, ...shape: number[]): Float32Array => {
    const rng = new Rng(11, purpose);
    return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal());
  };
  const x = tensor(random("x", 2, 3, IN), [2, 3, IN]);
  const dy = tensor(random("dy", 2, 3, OUT), [2, 3, OUT]);

  function build(): { layer: MergeableLinear; adapter: LinearAdapter; frozen: Float32Array } {
    const linear = Linear.random(IN, OUT, new Rng(1, "linear"), 0.5);
    const adapter = create(IN, OUT, new Rng(2, "adapter"), frozenWeight(linear));
    const layer = new MergeableLinear(linear, adapter);
    return { layer, adapter, frozen: layer.weight.values.slice() };
  }

  /** One step of gradient descent, in training mode, on every trainable parameter. Gives the gradients by name. */
  async function step(layer: MergeableLinear): Promise<Map<string, Float32Array>> {
    const trainable = [...namedParameters(layer)].filter(([, parameter]) => parameter.trainable);
    const parameters = trainable.map(([, parameter]) => parameter);
    setTraining(layer, true);
    const gradients = await evaluate(grad(sum(mul(layer.forward(x), dy)), parameters));
    setTraining(layer, false);
    const byName = new Map<string, Float32Array>();
    trainable.forEach(([name, parameter], i) => {
      const gradient = gradients[i]!.data as Float32Array;
      parameter.assign(parameter.values.map((value, k) => value - 0.1 * gradient[k]!));
      byName.set(name.replace("adapter.", ""), gradient);
    });
    return byName;
  }

  async function trained(): Promise<ReturnType<typeof build>> {
    const built = build();
    for (let i = 0; i < 3; i++) await step(built.layer);
    return built;
  }

  const floats = async (y: Tensor): Promise<Float32Array> => (await y.data()) as Float32Array;
  const largest = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const isZero = (values: Float32Array) => values.every((value) => value === 0);

  afterAll(clearEvaluationCache);

  describe("fresh", () => {
    test("ΔW is zero, of the layer's shape, and the output that of the frozen layer", async () => {
      const { layer, adapter, frozen } = build();
      const update = adapter.calculateWeightUpdate();
      expect(update.shape).toEqual([OUT, IN]);
      expect(largest(await floats(update))).toBeLessThanOrEqual(startsWithin);
      const plain = await floats(applyLinear(x, tensor(frozen, [OUT, IN])));
      if (startsWithin === 0) expect(await floats(layer.forward(x))).toEqual(plain);
      expectClose("output", await floats(layer.forward(x)), plain, 10 * startsWithin);
    });

    test("it has the parameters that the formula says, trainable but for those that are never, and the weight is frozen", () => {
      const { layer, adapter } = build();
      const parameters = namedParameters(adapter);
      expect(countElements(parameters.values())).toBe(parameterCount(IN, OUT));
      for (const [name, { trainable }] of parameters) expect(trainable, name).toBe(!frozenParts.includes(name));
      expect(layer.weight.trainable).toBe(false);
    });

    test("the same stream gives the same adapter", () => {
      const [first, second] = [build(), build()];
      const values = ({ adapter }: typeof first) => [...namedParameters(adapter).values()].map((p) => p.values);
      expect(values(first)).toEqual(values(second));
    });
  });

  describe("in training", () => {
    test("the first step moves what must move first, and nothing of the frozen weight", async () => {
      const { layer, adapter, frozen } = build();
      const before = new Map([...namedParameters(adapter)].map(([name, { values }]) => [name, values.slice()]));
      const gradients = await step(layer);
      const trainable = [...before.keys()].filter((name) => !frozenParts.includes(name));
      expect([...gradients.keys()].sort()).toEqual(trainable.sort());
      for (const [name, gradient] of gradients) {
        expect(isZero(gradient), `gradient of ${name}`).toBe(!movesFirst.includes(name));
        const now = namedParameters(adapter).get(name)!.values;
        if (movesFirst.includes(name)) expect(now).not.toEqual(before.get(name));
        else expect(now).toEqual(before.get(name));
      }
      for (const name of frozenParts) expect(namedParameters(adapter).get(name)!.values).toEqual(before.get(name));
      expect(layer.weight.values).toEqual(frozen);
      expect(isZero(await floats(adapter.calculateWeightUpdate()))).toBe(false);
    });

    test("from the second step on every parameter moves", async () => {
      const { layer } = build();
      await step(layer);
      for (const [name, gradient] of await step(layer)) expect(isZero(gradient), `gradient of ${name}`).toBe(false);
    });

    test("forward is x ΔWᵀ, for any number of axes", async () => {
      const { adapter } = await trained();
      const update = await floats(adapter.calculateWeightUpdate());
      for (const shape of [[IN], [6, IN], [2, 3, IN]]) {
        const input = tensor(random("input", ...shape), shape);
        const output = adapter.forward(input);
        expect(output.shape).toEqual([...shape.slice(0, -1), OUT]);
        const expected = await floats(applyLinear(input, tensor(update, [OUT, IN])));
        expectClose(`input of shape (${shape})`, await floats(output), expected, TOLERANCE);
      }
    });
  });

  describe("what a run keeps of it", () => {
    /** A weight that may not be read: what a run has learned is exported without its base. */
    const unread: FrozenWeight = {
      product: () => expect.unreachable("the product with the weight"),
      tensor: () => expect.unreachable("the weight as a tensor"),
      values: () => expect.unreachable("the values of the weight"),
    };

    test("its parts are its trainable parameters, each once, by the name of their property", () => {
      const { adapter } = build();
      const trainable = [...namedParameters(adapter)].filter(([, parameter]) => parameter.trainable);
      const parts = adapter.parts.map(({ name, parameter }) => [name, parameter] as const);
      expect(new Map(parts)).toEqual(new Map(trainable));
      expect(parts).toHaveLength(trainable.length);
    });

    test("what it has learned is ΔW, with as many numbers as it says", async () => {
      const { adapter, layer } = await trained();
      const term = await adapter.learned();
      const { loraA, loraB, magnitude } = term;
      expect(loraA.length + loraB.length + (magnitude?.length ?? 0)).toBe(adapter.learnedSize);
      const update = await floats(adapter.calculateWeightUpdate());
      expectClose("learned", await floats(updateOf(term, layer.frozen.tensor())), update, TOLERANCE);
    });

    test("parts and starts make another adapter what it is, without the weight", async () => {
      const { adapter } = await trained();
      const other = create(IN, OUT, new Rng(5, "other"), unread);
      const values = new Map(adapter.parts.map(({ name, parameter }) => [name, parameter.values.slice()]));
      for (const { name, parameter } of other.parts) parameter.assign(values.get(name)!);
      other.restoreStarts(adapter.starts());
      expect(await other.learned()).toEqual(await adapter.learned());
      for (const [name, start] of adapter.starts()) expect(other.starts().get(name), name).toEqual(start);
    });

    test("a share of its directions is merged and restarted alone, where it has any", async () => {
      const { layer, adapter } = await trained();
      const directions = adapter.weakestDirections(0.5);
      const axes = adapter.parts.flatMap(({ axis }) => axis ?? []);
      expect(axes).toHaveLength(directions === undefined ? 0 : adapter.parts.length);
      if (directions === undefined) return;
      expect(directions.length).toBeGreaterThan(0);
      const before = (await floats(layer.forward(x))).slice();
      await layer.mergeAdapter(new Rng(3), { directions });
      expectClose("output", await floats(layer.forward(x)), before, TOLERANCE);
    });
  });

  describe("merging", () => {
    test("moves the frozen weight by ΔW and leaves the layer's output unchanged", async () => {
      const { layer, adapter, frozen } = await trained();
      const update = await floats(adapter.calculateWeightUpdate());
      const before = (await floats(layer.forward(x))).slice();
      expect(layer.weight.values).toEqual(frozen);
      await layer.mergeAdapter(new Rng(3, "merge"));
      const expected = frozen.map((value, i) => value + update[i]!);
      expectClose("weight", layer.weight.values, expected, TOLERANCE);
      expect(layer.weight.values).not.toEqual(frozen);
      expectClose("output", await floats(layer.forward(x)), before, TOLERANCE);
    });

    test("twice is what once is, bit for bit where ΔW starts at zero", async () => {
      const { layer } = await trained();
      await layer.mergeAdapter(new Rng(3, "merge"));
      const once = layer.weight.values.slice();
      await layer.mergeAdapter(new Rng(4, "merge"));
      if (startsWithin === 0) expect(layer.weight.values).toEqual(once);
      expectClose("weight", layer.weight.values, once, startsWithin);
    });

    test("leaves a fresh adapter, drawn from the stream given", async () => {
      const { layer, adapter } = await trained();
      await layer.mergeAdapter(new Rng(3, "merge"));
      const fresh = create(IN, OUT, new Rng(3, "merge"), layer.frozen);
      const values = (module: LinearAdapter) => [...namedParameters(module).values()].map((p) => p.values);
      expect(values(adapter)).toEqual(values(fresh));
      expect(largest(await floats(adapter.calculateWeightUpdate()))).toBeLessThanOrEqual(startsWithin);
    });

    test("training goes on after it, from the merged weight", async () => {
      const { layer } = await trained();
      await layer.mergeAdapter(new Rng(3, "merge"));
      const merged = layer.weight.values.slice();
      const gradients = await step(layer);
      expect([...gradients].some(([, gradient]) => !isZero(gradient))).toBe(true);
      expect(layer.weight.values).toEqual(merged);
    });

    test("in training mode folds the same ΔW as in evaluation mode", async () => {
      const [training, evaluating] = [await trained(), await trained()];
      setTraining(training.layer, true);
      await training.layer.mergeAdapter(new Rng(3));
      await evaluating.layer.mergeAdapter(new Rng(3));
      expect(training.layer.weight.values).toEqual(evaluating.layer.weight.values);
    });
  });
}
