import { afterEach, describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { type CompiledGraph, compileGraph, PROFILES } from "../compiler/compile.js";
import { Parameter } from "../nn/module.js";
import { add, gatherRows, matmul, mul, sum, transpose } from "../ops/index.js";
import { fastestHalf, type HalfArray, widen } from "../tensor/half-array.js";
import { float32ToBfloat16, float32ToFloat16 } from "../tensor/half-precision.js";
import { Rng } from "../tensor/random.js";
import { sizeOf } from "../tensor/shape.js";
import { placeholder, type Tensor, tensor } from "../tensor/tensor.js";
import { evaluate } from "./evaluate.js";
import { Program } from "./program.js";
import { interpret } from "./reference.js";

const programs: Program[] = [];
afterEach(async () => {
  for (const program of programs.splice(0)) await program.release();
});

const random = (length: number, seed: number, deviation = 1): Float32Array => {
  const rng = new Rng(seed);
  return Float32Array.from({ length }, () => deviation * rng.normal());
};

const HOLDERS: Readonly<Record<string, (values: Float32Array) => HalfArray>> = {
  bfloat16: (values) => {
    const bits = new Uint16Array(values.length);
    float32ToBfloat16(values, bits);
    return { format: "bfloat16", bits, scale: 1 };
  },
  float16: (values) => {
    const bits = new Uint16Array(values.length);
    float32ToFloat16(values, bits);
    return { format: "float16", bits, scale: 1 };
  },
  "bfloat16 as scaled float16": (values) => {
    const half = fastestHalf(HOLDERS.bfloat16!(values).bits);
    expect(half).toMatchObject({ format: "float16" });
    expect(half.scale).not.toBe(1);
    return half;
  },
};

/** The weight held as 16-bit floats, and a float32 copy of it. */
function weights(holder: string, shape: [number, number]): [half: Parameter, copy: Parameter] {
  const half = HOLDERS[holder]!(random(shape[0] * shape[1], 1, 0.02));
  const held = new Parameter(() => expect.fail("made though it is held"), shape, { trainable: false });
  held.hold(half);
  return [held, new Parameter(widen(half), shape)];
}

async function run(outputs: Record<string, Tensor>, threads = 2): Promise<Record<string, Uint32Array>> {
  const program = await Program.compile(outputs, { device: "cpu", threads });
  programs.push(program);
  const results = await program.run();
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [name, new Uint32Array((data as Float32Array).buffer)]),
  );
}

describe.each(Object.keys(HOLDERS))("a weight held as %s gives the bits that its float32 copy gives", (holder) => {
  // One piece, or several of which the last is smaller; one row, a few, and many.
  test.each([
    [1, [96, 64]],
    [1, [1300, 1024]],
    [3, [1300, 1024]],
    [40, [512, 96]],
    [200, [80, 96]],
  ] as [number, [number, number]][])("in products of %i rows with %j, and in their gradients", async (rows, shape) => {
    const [held, copy] = weights(holder, shape);
    const x = tensor(random(rows * shape[1], 2), [rows, shape[1]]);
    const residual = tensor(random(rows * shape[0], 3), [rows, shape[0]]);
    const outputsFor = (w: Parameter): Record<string, Tensor> => {
      const product = matmul(x, w, { transposeB: true });
      const [dx] = grad(sum(mul(product, residual)), [x]);
      return { product, added: add(residual, matmul(mul(x, 2), w, { transposeB: true })), dx: dx! };
    };
    const exact = await run(outputsFor(copy));
    expect(await run(outputsFor(held))).toEqual(exact);
    expect(await run(outputsFor(held), 1)).toEqual(exact);
    expect(held.isHalf).toBe(true);
  });

  test("as a table, transposed, and as an output", async () => {
    const [held, copy] = weights(holder, [50, 32]);
    const ids = tensor(Int32Array.of(3, 49, 0, 3), [2, 2]);
    const outputsFor = (w: Parameter): Record<string, Tensor> => ({
      rows: gatherRows(w, ids),
      turned: transpose(w, [1, 0]),
      itself: w,
    });
    expect(await run(outputsFor(held))).toEqual(await run(outputsFor(copy)));
  });

  test("in eager use and to the reference kernels", async () => {
    const [held, copy] = weights(holder, [7, 5]);
    const x = tensor(random(10, 4), [2, 5]);
    const product = (w: Parameter): Tensor => matmul(x, w, { transposeB: true });
    expect(await evaluate([product(held)])).toEqual(await evaluate([product(copy)]));
    expect(interpret([product(held)])).toEqual(interpret([product(copy)]));
    expect(await held.data()).toEqual(copy.values);
    expect(held.isHalf).toBe(true);
  });
});

test.each([3, 40])("a large weight is widened in pieces for a product of %i rows", async (rows) => {
  const shape: [number, number] = [2100, 2048];
  const bits = Uint16Array.from({ length: shape[0] * shape[1] }, (_, i) => 0x3c00 | ((i * 7919) & 0x83ff));
  const held = new Parameter(() => expect.fail("made though it is held"), shape, { trainable: false });
  held.hold({ format: "float16", bits, scale: 2 ** -6 });
  const copy = new Parameter(held.read(), shape);
  const x = tensor(random(rows * shape[1], 2), [rows, shape[1]]);
  const residual = tensor(random(rows * shape[0], 3), [rows, shape[0]]);
  const outputsFor = (w: Parameter) => ({ sum: add(residual, matmul(mul(x, 0.5), w, { transposeB: true })) });
  const [ours, exact] = [await run(outputsFor(held)), await run(outputsFor(copy))];
  const [a, b] = [ours, exact].map(({ sum }) => new Float32Array(sum!.buffer));
  expect(a!.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b![i]!)), 0)).toBeLessThan(1e-4);
  expect(await run(outputsFor(held), 1)).toEqual(ours);
  expect(largestLength(compileGraph(outputsFor(held), PROFILES.cpu))).toBeLessThanOrEqual(2 ** 22);
});

/** Number of elements of the largest value that the model computes. */
function largestLength({ values, leaves, halves }: CompiledGraph): number {
  const own = [...values].filter(([name]) => !leaves.has(name) && !halves.has(name));
  return Math.max(...own.map(([, { shape }]) => sizeOf(shape)));
}

test("a program says when a weight is no longer held as it was compiled", async () => {
  const [held] = weights("bfloat16", [4, 4]);
  const program = await Program.compile(
    { y: matmul(placeholder("x", [1, 4]), held, { transposeB: true }) },
    { device: "cpu", threads: 1 },
  );
  programs.push(program);
  held.values.fill(0);
  expect(held.isHalf).toBe(false);
  await expect(async () => program.run({ x: new Float32Array(4) })).rejects.toThrow("no longer held as it was");
});

test("a parameter held as 16-bit floats is read as copies, until it is assigned to", () => {
  const [held, copy] = weights("bfloat16 as scaled float16", [16, 16]);
  const read = held.read();
  expect(read).toEqual(copy.values);
  expect(read).not.toBe(held.read());
  expect(held.isHalf).toBe(true);
  held.assign(read.fill(3));
  expect(held.isHalf).toBe(false);
  expect(held.values).toEqual(read);
});
