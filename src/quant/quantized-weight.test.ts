import { afterAll, describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { ConfigError, NumericError, ShapeError } from "../base/errors.js";
import { sum } from "../ops/broadcast.js";
import { matmul } from "../ops/matmul.js";
import { clearEvaluationCache, evaluate } from "../runtime/evaluate.js";
import { Program } from "../runtime/program.js";
import { reachable } from "../tensor/graph.js";
import { Rng } from "../tensor/random.js";
import { placeholder, tensor } from "../tensor/tensor.js";
import { FourBitWeight } from "./four-bit-weight.js";
import { Int8Weight } from "./int8-weight.js";
import { createQuantizedWeight, QuantizedLinear } from "./quantized-linear.js";
import { createQuantizer, describeQuantizer, type Quantizer } from "./quantizer.js";

afterAll(clearEvaluationCache);

/** Odd sizes, so that blocks straddle rows and the last one is short. */
const SHAPE = [37, 29] as const;
const SIZE = SHAPE[0] * SHAPE[1];

function random(length: number, seed: number, deviation = 1): Float32Array {
  const rng = new Rng(seed);
  return Float32Array.from({ length }, () => deviation * rng.normal());
}

const QUANTIZERS: readonly Quantizer[] = [
  createQuantizer("nf4"),
  createQuantizer("nf4", { blockSize: 16, doubleQuant: true }),
  createQuantizer("fp4", { blockSize: 512 }),
  createQuantizer("int8"),
];

describe.each(QUANTIZERS.map((quantizer) => [describeQuantizer(quantizer), quantizer] as const))(
  "%s",
  (_, quantizer) => {
    const values = random(SIZE, 1, 0.02);
    const create = () => {
      const weight = createQuantizedWeight(SHAPE, quantizer);
      weight.assign(values);
      return weight;
    };

    test("the weight in a graph equals that of a loop, to the last bit", async () => {
      const weight = create();
      const held = weight.values();
      const inGraph = await weight.dequantize().data();
      expect(held.every((value, i) => value === inGraph[i])).toBe(true);
      const error = Math.hypot(...held.map((value, i) => value - values[i]!)) / Math.hypot(...values);
      expect(error).toBeGreaterThan(0);
      expect(error).toBeLessThan({ nf4: 0.12, fp4: 0.25, int8: 0.02 }[quantizer.format]);
    });

    test("its product and the gradient in x are those of the dequantized weight", async () => {
      const weight = create();
      const plain = tensor(weight.values(), SHAPE);
      const x = tensor(random(5 * SHAPE[1], 2), [5, SHAPE[1]]);
      const factors = tensor(random(5 * SHAPE[0], 3), [5, SHAPE[0]]);
      const outputs = (y: ReturnType<typeof matmul>) => [
        y,
        grad(sum(matmul(y, factors, { transposeB: true })), [x])[0]!,
      ];
      const quantized = await evaluate(outputs(weight.matmul(x)));
      const floats = await evaluate(outputs(matmul(x, plain, { transposeB: true })));
      for (const [i, { data }] of quantized.entries()) {
        const largest = Math.max(...floats[i]!.data.map(Math.abs));
        data.forEach((value, k) => void expect(Math.abs(value - floats[i]!.data[k]!)).toBeLessThan(2e-6 * largest));
      }
    });

    test("the backward pass dequantizes anew: nothing in float32 is shared with the forward pass", () => {
      const x = placeholder("x", [5, SHAPE[1]]);
      const y = createQuantizedWeight(SHAPE, quantizer).matmul(x);
      const forward = new Set(reachable([y]));
      const [dx] = grad(sum(y), [x]);
      const shared = reachable([dx!]).filter((node) => forward.has(node) && node.op !== undefined);
      expect(shared.filter(({ dtype, size }) => dtype === "float32" && size >= SIZE)).toEqual([]);
    });

    test("a compiled program sees what is assigned later", async () => {
      const weight = create();
      const layer = new QuantizedLinear(weight);
      const x = tensor(random(3 * SHAPE[1], 2), [1, 3, SHAPE[1]]);
      const program = await Program.compile({ y: layer.forward(x) }, { device: "cpu", threads: 1 });
      const before = (await program.run()).y!;
      expect(before.shape).toEqual([1, 3, SHAPE[0]]);
      const codes = weight.snapshot();
      weight.assign(values.map((value) => -value));
      const after = (await program.run()).y!.data;
      await program.release();
      expect(after).not.toEqual(before.data);
      expect(after).toEqual(await layer.forward(x).data());
      expect(weight.countChanged(codes)).toBeGreaterThan(0.9 * SIZE);
      expect(weight.countChanged(weight.snapshot())).toBe(0);
    });

    test("assigning its own values changes none, except where scales are quantized again", () => {
      const weight = create();
      const held = weight.values();
      weight.assign(held);
      const drift = Math.max(...weight.values().map((value, i) => Math.abs(value - held[i]!)));
      expect(drift).toBeLessThan(quantizer.doubleQuant ? 1e-3 : 1e-30);
    });

    test("refuses values that are not finite, and too few of them", () => {
      const weight = create();
      expect(() => weight.assign(values.with(3, Number.NaN))).toThrow(NumericError);
      expect(() => weight.assign(values.subarray(1))).toThrow(ShapeError);
    });
  },
);

test("bytes are those of codes and scales", () => {
  const bytes = (quantizer: Quantizer) => createQuantizedWeight([64, 1024], quantizer).byteLength;
  expect(bytes(createQuantizer("nf4"))).toBe(32_768 + 4 * 1024);
  // Codes and one byte per block; a scale per 4 groups, the map of 256 and the offset.
  expect(bytes(createQuantizer("nf4", { doubleQuant: true }))).toBe(32_768 + 1024 + 4 * (4 + 256 + 1));
  expect(bytes(createQuantizer("int8"))).toBe(65_536 + 4 * 64);
});

test.each<[call: () => unknown, message: string]>([
  [() => createQuantizer("nf5" as "nf4"), 'createQuantizer: format must be one of nf4, fp4, int8, got "nf5"'],
  [() => createQuantizer("nf4", { blockSize: "64" as never }), "createQuantizer: blockSize must be a power of two"],
  [
    () => createQuantizer("nf4", { doubleQuant: 1 as never }),
    "createQuantizer: doubleQuant must be true or false, got 1",
  ],
  [() => new Int8Weight([2, 0]), "Int8Weight: inFeatures must be an integer of at least 1, got 0"],
  [
    () => createQuantizedWeight([Number.NaN, 2], createQuantizer("nf4")),
    "FourBitWeight: outFeatures must be an integer of at least 1, got NaN",
  ],
  [
    () => new FourBitWeight([2, 2], { format: "nf4", blockSize: 48, doubleQuant: false }),
    "FourBitWeight: blockSize must be a power of two from 16 to 4096, got 48",
  ],
])("arguments of no use are refused: %#", (call, message) => {
  expect(call).toThrow(ConfigError);
  expect(call).toThrow(message);
});
