import { Parameter } from "../src/nn/module.js";
import { matmul } from "../src/ops/matmul.js";
import { max } from "../src/ops/reduce.js";
import { Program } from "../src/runtime/program.js";
import type { SessionOptions } from "../src/runtime/session.js";
import { Rng } from "../src/tensor/random.js";
import { placeholder } from "../src/tensor/tensor.js";

/** Reads so many bytes in the two ways that do the least with them: the faster one counts. */
export class MemoryReader {
  readonly #programs: readonly Program[];
  readonly #vector: Float32Array;

  private constructor(programs: readonly Program[], width: number) {
    this.#programs = programs;
    this.#vector = new Float32Array(width).fill(1);
  }

  static async compile(bytes: number, width: number, machine: SessionOptions): Promise<MemoryReader> {
    const rows = Math.round(bytes / Float32Array.BYTES_PER_ELEMENT / width);
    const matrix = new Parameter(repeatedWeights(rows * width), [rows, width]);
    const product = matmul(placeholder("vector", [1, width]), matrix, { transposeB: true });
    return new MemoryReader(
      [
        await Program.compile({ product }, machine),
        await Program.compile({ largest: max(matrix, { axes: [1] }) }, machine),
      ],
      width,
    );
  }

  async ms(): Promise<number> {
    const all: number[] = [];
    for (const program of this.#programs) all.push(await timeOf(() => program.run({ vector: this.#vector })));
    return Math.min(...all);
  }

  async release(): Promise<void> {
    for (const program of this.#programs) await program.release();
  }
}

/** A million normal numbers of deviation 0.02 again and again. */
export function repeatedWeights(size: number): Float32Array {
  const values = new Float32Array(size);
  const period = Math.min(2 ** 20, size);
  const rng = new Rng(0, "weight");
  for (let i = 0; i < period; i++) values[i] = 0.02 * rng.normal();
  for (let filled = period; filled < size; filled *= 2) values.copyWithin(filled, 0, filled);
  return values;
}

export async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
