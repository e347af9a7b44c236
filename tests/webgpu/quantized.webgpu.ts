import { expect, test } from "vitest";
import { dequantizeFourBit, dequantizeInt8 } from "../../src/ops/index.js";
import { Program } from "../../src/runtime/program.js";
import { interpret } from "../../src/runtime/reference.js";
import { Rng } from "../../src/tensor/random.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";

/** More elements than one dimension of a dispatch has threads: 65535 groups of 64. */
const [ROWS, COLUMNS] = [2049, 2048];
const rng = new Rng(3, "quantized");
const scales = (length: number) => tensor(Float32Array.from({ length }, () => rng.uniform() + 0.5));

const WEIGHTS: readonly (readonly [string, () => Tensor])[] = [
  ...(["nf4", "fp4"] as const).map((type): [string, () => Tensor] => [
    type,
    () => {
      const packed = Uint8Array.from({ length: (ROWS * COLUMNS) / 2 }, () => rng.below(256));
      const matrix = { type, blockSize: 64, shape: [ROWS, COLUMNS] } as const;
      return dequantizeFourBit(tensor(packed), scales(packed.length / 32), matrix);
    },
  ]),
  [
    "int8",
    () => {
      const codes = Int8Array.from({ length: ROWS * COLUMNS }, () => rng.below(256) - 128);
      return dequantizeInt8(tensor(codes, [ROWS, COLUMNS]), scales(ROWS));
    },
  ],
];

test.each(WEIGHTS)(
  "a large %s weight is dequantized on webgpu alone to the values of the reference",
  async (_, build) => {
    const weight = build();
    const program = await Program.compile({ weight }, { device: "webgpu", threads: 1, forbidFallback: true });
    const { data } = (await program.run()).weight!;
    await program.release();
    const expected = interpret([weight])[0]!;
    let different = 0;
    for (let i = 0; i < expected.length; i++) if (data[i] !== expected[i]) different++;
    expect(data).toHaveLength(ROWS * COLUMNS);
    expect(different).toBe(0);
  },
);
