import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { encodeModel } from "../compiler/onnx-model.js";
import { Rng } from "../tensor/random.js";
import { ROUNDED_BLOCK, roundToBlocks } from "./rounded-blocks.js";

const [ROWS, COLUMNS] = [3, 2 * ROUNDED_BLOCK];

function normals(count: number): Float32Array {
  const rng = new Rng(1, "blocks");
  return Float32Array.from({ length: count }, () => rng.normal());
}

/** The matrix that ONNX Runtime makes of the blocks: its product with the identity. */
async function asRead(values: Float32Array, bits: 4 | 8): Promise<Float32Array> {
  const { codes, scales } = roundToBlocks(values, bits);
  const blocks = COLUMNS / ROUNDED_BLOCK;
  const attributes = { K: COLUMNS, N: ROWS, bits, block_size: ROUNDED_BLOCK };
  const model = encodeModel(
    {
      nodes: [
        {
          opType: "MatMulNBits",
          domain: "com.microsoft",
          inputs: ["x", "codes", "scales"],
          outputs: ["y"],
          attributes: Object.fromEntries(Object.entries(attributes).map(([name, int]) => [name, { int }])),
        },
      ],
      inputs: [{ name: "x", dtype: "float32", shape: [COLUMNS, COLUMNS] }],
      outputs: [{ name: "y", dtype: "float32", shape: [COLUMNS, ROWS] }],
      initializers: [
        { name: "codes", dtype: "uint8", shape: [ROWS, blocks, (ROUNDED_BLOCK * bits) / 8], data: codes },
        { name: "scales", dtype: "float32", shape: [ROWS, blocks], data: scales },
      ],
    },
    { irVersion: 8, opsets: { "": 17, "com.microsoft": 1 } },
  );
  const session = await InferenceSession.create(model);
  const identity = new Float32Array(COLUMNS * COLUMNS);
  for (let i = 0; i < COLUMNS; i++) identity[i * COLUMNS + i] = 1;
  const { y } = await session.run({ x: new Tensor("float32", identity, [COLUMNS, COLUMNS]) });
  const columns = y!.data as Float32Array;
  return Float32Array.from(
    { length: ROWS * COLUMNS },
    (_, i) => columns[(i % COLUMNS) * ROWS + Math.floor(i / COLUMNS)]!,
  );
}

test.each([4, 8] as const)("ONNX Runtime reads %d bits as the nearest of their numbers", async (bits) => {
  const values = normals(ROWS * COLUMNS);
  values.fill(0, 0, ROUNDED_BLOCK);
  const read = await asRead(values, bits);
  const { scales } = roundToBlocks(values, bits);
  for (const [i, value] of values.entries()) {
    const scale = Math.abs(scales[Math.floor(i / ROUNDED_BLOCK)]!);
    // Beyond the highest code, which is a step less far from 0 than the lowest, there may be half a step more.
    expect(Math.abs(read[i]! - value)).toBeLessThanOrEqual(scale + 1e-6);
  }
  expect(read.subarray(0, ROUNDED_BLOCK)).toEqual(new Float32Array(ROUNDED_BLOCK));
  const [apart, all] = [values.map((value, i) => (read[i]! - value) ** 2), values.map((value) => value ** 2)].map(
    (squares) => squares.reduce((sum, square) => sum + square, 0),
  );
  expect(Math.sqrt(apart! / all!)).toBeLessThan(bits === 4 ? 0.1 : 0.006);
});

test.each([4, 8] as const)("numbers of %d bits keep their values", async (bits) => {
  const half = 2 ** (bits - 1);
  const values = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => 0.25 * (((i * 7) % (2 * half)) - half));
  for (let i = 0; i < values.length; i += ROUNDED_BLOCK) values[i] = -0.25 * half;
  expect(await asRead(values, bits)).toEqual(values);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%d leaves no finite scale", (value) => {
  const values = normals(2 * ROUNDED_BLOCK);
  values[ROUNDED_BLOCK + 5] = value;
  const { scales } = roundToBlocks(values, 4);
  expect(Array.from(scales, Number.isFinite)).toEqual([true, false]);
});
