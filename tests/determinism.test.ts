import { describe, expect, test } from "vitest";
import { grad } from "../src/autograd/grad.js";
import { gelu, geluTanh } from "../src/nn/gelu.js";
import { LayerNorm } from "../src/nn/layer-norm.js";
import { add, log, matmul, matmulFourBit, mul, sum, tanh } from "../src/ops/index.js";
import { Program } from "../src/runtime/program.js";
import type { TypedArray } from "../src/tensor/dtype.js";
import { Rng } from "../src/tensor/random.js";
import { placeholder, type Tensor, tensor } from "../src/tensor/tensor.js";
import { buildStep } from "./llama/step.js";

const CHOICES = { rank: 8, checkpointing: true, chunkSize: 64 };
const SIZES = { batch: 2, time: 96, hiddenSize: 64, intermediateSize: 176, vocabSize: 503, numKeyValueHeads: 2 };

type Results = Readonly<Record<string, TypedArray>>;

async function compute(
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Results,
  { threads, runs = 1, deterministic = true }: { threads: number; runs?: number; deterministic?: boolean },
): Promise<Results[]> {
  const program = await Program.compile(outputs, { device: "cpu", threads, deterministic });
  const all: Results[] = [];
  for (let run = 0; run < runs; run++) {
    const results = Object.entries(await program.run(feeds));
    all.push(Object.fromEntries(results.map(([name, { data }]) => [name, data])));
  }
  await program.release();
  return all;
}

/** Names of the outputs that have other bits with some number of threads than with one. */
async function differing(
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Results,
  counts: readonly number[] = [2, 3, 4, 5, 7, 8, 16],
): Promise<string[]> {
  const [one] = (await compute(outputs, feeds, { threads: 1 })) as [Results];
  const found = new Set<string>();
  for (const threads of counts) {
    const [other] = (await compute(outputs, feeds, { threads })) as [Results];
    for (const [name, data] of Object.entries(one)) {
      if (Buffer.compare(bytes(data), bytes(other[name]!)) !== 0) found.add(name);
    }
  }
  return [...found];
}

const bytes = ({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

function random(shape: readonly number[], seed: number): Tensor {
  const rng = new Rng(seed);
  const size = shape.reduce((product, n) => product * n, 1);
  return tensor(
    Float32Array.from({ length: size }, () => rng.normal()),
    shape,
  );
}

const FORMS = [
  ["one form for all numbers of threads", true],
  ["the fastest form", false],
] as const;

test.each(FORMS)("a training step is bit-equal over runs and sessions: %s", async (_, deterministic) => {
  const { outputs, feeds } = buildStep({ ...SIZES, ...CHOICES });
  const all = [
    ...(await compute(outputs, feeds, { threads: 2, runs: 3, deterministic })),
    ...(await compute(outputs, feeds, { threads: 2, deterministic })),
  ];
  expect(Object.keys(all[0]!).length).toBeGreaterThan(30);
  for (const other of all.slice(1)) expect(other).toEqual(all[0]);
});

test.each(FORMS)("a training step is bit-equal with and without checkpointing: %s", async (_, deterministic) => {
  const [plain, recomputed] = await Promise.all(
    [false, true].map(async (checkpointing) => {
      const { outputs, feeds } = buildStep({ ...SIZES, ...CHOICES, checkpointing });
      return compute(outputs, feeds, { threads: 2, deterministic });
    }),
  );
  expect(recomputed).toEqual(plain);
});

describe("over numbers of threads, bit-equal is", () => {
  // Odd sizes, and more inner terms than the kernel adds up in one block.
  test.each([
    ["one short sequence", { batch: 1, time: 37, hiddenSize: 192, intermediateSize: 512, vocabSize: 503, rank: 4 }],
    [
      "sequences of one token",
      { batch: 2, time: 1, hiddenSize: 192, intermediateSize: 512, vocabSize: 503, rank: 128 },
    ],
    ["several sequences", { batch: 3, time: 91, hiddenSize: 136, intermediateSize: 400, vocabSize: 1003, rank: 32 }],
  ])("a training step of %s", async (_, sizes) => {
    const { outputs, feeds } = buildStep({ ...sizes, numLayers: 1 });
    expect(await differing(outputs, feeds)).toEqual([]);
  });

  /** What ONNX Runtime would compute in another order with more threads, and what is done about it. */
  const products: readonly (readonly [string, readonly [rows: number, inner: number, columns: number]])[] = [
    ["fewer rows than columns, a few tiles of them", [130, 257, 192]],
    ["fewer rows than columns, in groups of rows", [256, 192, 1376]],
    ["as few rows as threads", [16, 4000, 9]],
    ["one column", [130, 2000, 1]],
    ["one row", [1, 4000, 37]],
  ];
  test.each(products)("a product with %s", async (_what, [rows, inner, columns]) => {
    const outputs: Record<string, Tensor> = {};
    for (const transposeB of [false, true]) {
      const [a, c] = [random([rows, inner], 1), random([rows, columns], 3)];
      const b = random(transposeB ? [columns, inner] : [inner, columns], 2);
      const product = matmul(a, b, { transposeB });
      Object.assign(outputs, {
        [`product ${transposeB}`]: matmul(a, b, { transposeB }),
        [`scaled ${transposeB}`]: mul(product, 0.5),
        [`added to ${transposeB}`]: add(matmul(a, b, { transposeB }), c),
      });
    }
    expect(await differing(outputs, {}, [2, 3, 7, 16, 64])).toEqual([]);
  });

  test("a product of batches", async () => {
    const y = matmul(random([2, 50, 300], 1), random([2, 300, 160], 2));
    expect(await differing({ y }, {})).toEqual([]);
  });

  test("a product with 4-bit weights, and its gradient", async () => {
    const x = random([130, 256], 1);
    const packed = tensor(
      Uint8Array.from({ length: (192 * 256) / 2 }, (_, i) => (37 * i) % 251),
      [(192 * 256) / 2],
      "uint8",
    );
    const absmax = random([(192 * 256) / 64], 2);
    const y = matmulFourBit(x, packed, absmax, { type: "nf4", blockSize: 64, shape: [192, 256] });
    const [dx] = grad(sum(mul(y, y)), [x]);
    expect(await differing({ y, dx: dx! }, {})).toEqual([]);
  });

  test("activations and norms with their gradients", async () => {
    const x = random([37, 601], 1);
    const norm = new LayerNorm(601);
    const outputs: Record<string, Tensor> = {};
    for (const [name, f] of Object.entries({ tanh, gelu, geluTanh, norm: (input: Tensor) => norm.forward(input) })) {
      const y = f(x);
      outputs[name] = y;
      grad(sum(mul(y, y)), name === "norm" ? [x, norm.weight, norm.bias] : [x]).forEach((gradient, i) => {
        outputs[`${name} ${i}`] = gradient;
      });
    }
    expect(await differing(outputs, {})).toEqual([]);
  });

  test("a logarithm, and a sum over axes between others", async () => {
    const x = placeholder("x", [2, 37, 601]);
    const feeds = { x: Float32Array.from({ length: x.size }, (_, i) => 1 + ((7919 * i) % 10007) / 1e3) };
    const outputs = { log: log(x), sum: sum(x, { axes: [1] }), outer: sum(x, { axes: [0, 2] }) };
    expect(await differing(outputs, feeds)).toEqual([]);
  });
});
