import { afterEach, describe, expect, test } from "vitest";
import { grad } from "../../src/autograd/grad.js";
import {
  dequantizeFourBit,
  dequantizeInt8,
  type FourBitMatrix,
  matmul,
  matmulFourBit,
  mul,
  sum,
} from "../../src/ops/index.js";
import { clearEvaluationCache } from "../../src/runtime/evaluate.js";
import { Program } from "../../src/runtime/program.js";
import { interpret } from "../../src/runtime/reference.js";
import type { TypedArray } from "../../src/tensor/dtype.js";
import { Rng } from "../../src/tensor/random.js";
import { placeholder, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "./close.js";

const bitsOf = (values: ArrayLike<number>) => new Uint32Array(Float32Array.from(values).buffer);

async function runOnCpu(outputs: Record<string, Tensor>, threads = 2): Promise<Record<string, TypedArray>> {
  const program = await Program.compile(outputs, { device: "cpu", threads });
  const results = await program.run();
  await program.release();
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]));
}

/** Every byte, then random ones; scales of all magnitudes, zero and the subnormal among them. */
function fourBitLeaves({ blockSize, shape: [out, inner] }: FourBitMatrix): [packed: Tensor, absmax: Tensor] {
  const rng = new Rng(blockSize, "four bits");
  const packed = Uint8Array.from({ length: Math.ceil((out * inner) / 2) }, (_, i) => (i < 256 ? i : rng.below(256)));
  const absmax = Float32Array.from({ length: Math.ceil((out * inner) / blockSize) }, () => rng.uniform() + 0.01);
  absmax.set([0, 1e-42, 3e38, 1e-10].slice(0, absmax.length - 1), 1);
  return [tensor(packed), tensor(absmax)];
}

function int8Leaves(out: number, inner: number): [codes: Tensor, scales: Tensor] {
  const rng = new Rng(out, "int8");
  const codes = Int8Array.from({ length: out * inner }, (_, i) => (i < 256 ? i - 128 : rng.below(255) - 127));
  const scales = Float32Array.from({ length: out }, () => rng.uniform() + 0.01);
  scales.set([0, 1e-42, 3e36].slice(0, out - 1), 1);
  return [tensor(codes, [out, inner]), tensor(scales)];
}

function normal(seed: string, ...shape: [number, number]): Tensor {
  const rng = new Rng(1, seed);
  return tensor(
    Float32Array.from({ length: shape[0] * shape[1] }, () => rng.normal()),
    shape,
  );
}

afterEach(clearEvaluationCache);

describe("on the CPU, bit for bit the weight of the reference kernels", () => {
  const MATRICES = (["nf4", "fp4"] as const).flatMap((type) =>
    [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].flatMap((blockSize) => [
      { type, blockSize, shape: [96, 128] } as const,
      // Blocks straddle rows, the last one and the last byte are not full.
      { type, blockSize, shape: [129, 67] } as const,
    ]),
  );

  test.each(MATRICES)("$type, shape $shape in blocks of $blockSize", async (matrix) => {
    const weight = dequantizeFourBit(...fourBitLeaves(matrix), matrix);
    const expected = bitsOf(interpret([weight])[0]!);
    for (const threads of [1, 2]) expect(bitsOf((await runOnCpu({ weight }, threads)).weight!)).toEqual(expected);
  });

  test.each([
    [96, 128],
    [7, 301],
    [300, 1],
  ] as const)("int8, shape (%i, %i)", async (out, inner) => {
    const weight = dequantizeInt8(...int8Leaves(out, inner));
    const expected = bitsOf(interpret([weight])[0]!);
    for (const threads of [1, 2]) expect(bitsOf((await runOnCpu({ weight }, threads)).weight!)).toEqual(expected);
  });

  test("also when evaluated, from arrays that begin anywhere in memory", async () => {
    const matrix = { type: "nf4", blockSize: 64, shape: [5, 33] } as const;
    const [packed, absmax] = fourBitLeaves(matrix);
    const shifted = new Uint8Array([0, ...(await packed.data())]).subarray(1);
    const fourBit = dequantizeFourBit(tensor(shifted), absmax, matrix);
    const [codes, scales] = int8Leaves(5, 33);
    const int8 = dequantizeInt8(tensor(new Int8Array([0, ...(await codes.data())]).subarray(1), [5, 33]), scales);
    for (const weight of [fourBit, int8]) {
      expect(bitsOf(await weight.data())).toEqual(bitsOf(interpret([weight])[0]!));
    }
  });
});

describe("products with quantized weights", () => {
  const matrix = { type: "nf4", blockSize: 64, shape: [257, 192] } as const;
  // With fewer rows than columns ONNX Runtime would share columns among threads, which can change the order of its sums.
  const ROWS = 300;

  function fourBitStep(): { y: Tensor; dx: Tensor; weight: Tensor; x: Tensor } {
    const rng = new Rng(4, "codes");
    const size = matrix.shape[0] * matrix.shape[1];
    const packed = tensor(Uint8Array.from({ length: size / 2 }, () => rng.below(256)));
    const absmax = tensor(Float32Array.from({ length: size / 64 }, () => rng.uniform() + 0.5));
    const x = normal("x", ROWS, 192);
    const y = matmulFourBit(x, packed, absmax, matrix);
    const [dx] = grad(sum(mul(y, normal("dy", ROWS, 257))), [x]);
    return { y, dx: dx!, weight: dequantizeFourBit(packed, absmax, matrix), x };
  }

  test("are bit-equal over runs and numbers of threads, gradients included", async () => {
    const { y, dx } = fourBitStep();
    const first = await runOnCpu({ y, dx }, 1);
    for (const threads of [1, 2, 3]) expect(await runOnCpu({ y, dx }, threads)).toEqual(first);
  });

  test("are those with the dequantized weight", async () => {
    const { y, weight, x } = fourBitStep();
    const results = await runOnCpu({ y, plain: matmul(x, weight, { transposeB: true }) });
    expectClose("y", results.y!, results.plain!, 1e-6);
  });

  test("keep activations in float32 where the weight is int8", async () => {
    const rng = new Rng(5, "int8");
    const codes = tensor(
      Int8Array.from({ length: 96 * 512 }, () => rng.below(255) - 127),
      [96, 512],
    );
    const scales = tensor(Float32Array.from({ length: 96 }, () => rng.uniform() + 0.5));
    const x = normal("x", 64, 512);
    const y = matmul(x, dequantizeInt8(codes, scales), { transposeB: true });
    const [expected] = interpret([y], { precision: "float64" });
    expectClose("y", (await runOnCpu({ y })).y!, expected!, 1e-6);
  });
});

test("int8 placeholders are fed and given back", async () => {
  const [codes, scales] = [placeholder("codes", [2, 3], "int8"), tensor([127, 254])];
  const program = await Program.compile(
    { codes, weight: dequantizeInt8(codes, scales) },
    { device: "cpu", threads: 1 },
  );
  const feeds = { codes: Int8Array.of(-128, -127, 0, 1, 2, 127) };
  const results = await program.run(feeds);
  await program.release();
  expect(results.codes).toEqual({ dtype: "int8", shape: [2, 3], data: feeds.codes });
  expect(results.weight!.data).toEqual(interpret([dequantizeInt8(codes, scales)], { feeds })[0]);
  expect(Array.from(results.weight!.data)).toEqual([-128, -127, 0, 2, 4, 254]);
});
