import { describe, expect, test } from "vitest";
import { ShapeError } from "../base/errors.js";
import { interpret } from "../runtime/reference.js";
import { Rng } from "../tensor/random.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { Linear } from "./linear.js";
import {
  countElements,
  Module,
  moduleSlots,
  namedParameters,
  Parameter,
  setTraining,
  trainableParameters,
} from "./module.js";
import { RMSNorm } from "./rms-norm.js";

class Block extends Module {
  first: Linear;
  readonly scale: Parameter = new Parameter(Float32Array.of(1, 2), [2]);
  readonly notAModule: Tensor = tensor([1]);
  readonly absent: Parameter | undefined = undefined;

  constructor(weight: Parameter) {
    super();
    this.first = new Linear(weight);
  }
}

class Tower extends Module {
  readonly weight: Parameter = new Parameter(new Float32Array(6), [3, 2]);
  readonly blocks: Block[] = [new Block(this.weight), new Block(new Parameter(new Float32Array(6), [3, 2]))];
}

describe("a module", () => {
  test("has the parameters of its properties and arrays in order of declaration, shared ones once", () => {
    const tower = new Tower();
    expect([...namedParameters(tower).keys()]).toEqual([
      "weight",
      "blocks.0.scale",
      "blocks.1.first.weight",
      "blocks.1.scale",
    ]);
    expect(countElements(namedParameters(tower).values())).toBe(6 + 2 + 2 + 6);
  });

  test("lists as trainable what is not frozen", () => {
    const tower = new Tower();
    tower.weight.trainable = false;
    expect(trainableParameters(tower)).toHaveLength(3);
    expect(trainableParameters(tower)).not.toContain(tower.weight);
  });

  test("lets its submodules be replaced where they are", () => {
    const tower = new Tower();
    const linear = Linear.random(2, 3, new Rng(1));
    const slots = moduleSlots(tower);
    expect(slots.map(({ path }) => path)).toEqual(["blocks.0", "blocks.0.first", "blocks.1", "blocks.1.first"]);
    slots[3]!.replace(linear);
    expect(tower.blocks[1]!.first).toBe(linear);
  });

  test("switches to training with everything below it, and back", () => {
    const tower = new Tower();
    setTraining(tower, true);
    expect([tower, ...moduleSlots(tower).map(({ module }) => module)].every(({ training }) => training)).toBe(true);
    setTraining(tower, false);
    expect(tower.blocks[1]!.first.training).toBe(false);
  });
});

describe("a parameter", () => {
  test("is changed in place", () => {
    const array = Float32Array.of(1, 2, 3);
    const parameter = new Parameter(array, [3]);
    parameter.assign([4, 5, 6]);
    expect(parameter.values).toBe(array);
    expect(array).toEqual(Float32Array.of(4, 5, 6));
  });

  test("says what it needs when the length is wrong", () => {
    expect(() => new Parameter(new Float32Array(3), [2, 2])).toThrow("shape (2, 2) holds 4 elements, got 3");
    expect(() => new Parameter(new Float32Array(4), [2, 2]).assign([1])).toThrow(ShapeError);
    expect(() => new Parameter(new Float32Array(4), [2, 2]).assign([1])).toThrow("needs 4 values, got 1");
  });
});

describe("layers", () => {
  test("a linear layer multiplies rows by its weight's rows, whatever axes come before", () => {
    const linear = new Linear(new Parameter(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]));
    expect([linear.inFeatures, linear.outFeatures]).toEqual([2, 3]);
    const y = linear.forward(tensor([1, 10, -1, 1], [2, 1, 2]));
    expect(y.shape).toEqual([2, 1, 3]);
    expect(Array.from(interpret([y])[0]!)).toEqual([21, 43, 65, 1, 1, 1]);
  });

  test("a norm starts with weights of one and leaves rows of mean square one", () => {
    const norm = new RMSNorm(2, { epsilon: 0 });
    expect(norm.weight.values).toEqual(Float32Array.of(1, 1));
    const [y] = interpret([norm.forward(tensor([3, 4, 1, -7], [2, 2]))], { precision: "float64" });
    [3 / Math.sqrt(12.5), 4 / Math.sqrt(12.5), 0.2, -1.4].forEach((value, i) => {
      expect(y![i]).toBeCloseTo(value, 12);
    });
  });
});

test("a parameter made from a function draws its values when they are first read", () => {
  let calls = 0;
  const make = (): Float32Array => {
    calls++;
    return Float32Array.of(1, 2);
  };
  const read = new Parameter(make, [2]);
  expect(calls).toBe(0);
  expect([...read.values, ...read.values]).toEqual([1, 2, 1, 2]);
  expect(calls).toBe(1);
  const assigned = new Parameter(make, [2]);
  assigned.assign([3, 4]);
  expect([...assigned.values]).toEqual([3, 4]);
  expect(calls).toBe(1);
  expect(() => new Parameter(make, [3]).values).toThrow(ShapeError);
});
