import { add, div, mul, sqrt, sub } from "../ops/elementwise.js";
import { Program } from "../runtime/program.js";
import { placeholder } from "../tensor/tensor.js";
import { type AdamWState, type UpdateKernel, type UpdateOptions, updateTensor } from "./adamw.js";
import { type Gradient, readGradient } from "./gradient.js";

/** Most elements per run: its arrays stay in the cache while the update's passes go over them. */
const LARGEST_CHUNK = 256 * 1024;

/** Below this many elements the plain loop is as fast. */
const SMALLEST_CHUNK = 128 * 1024;

/**
 * The AdamW update as compiled programs on the CPU that write parameter and moments in place. Faster than a loop on one
 * thread for all but small tensors. In float32 throughout, so equal to the loop up to rounding.
 */
export class AdamWKernel implements UpdateKernel {
  readonly #threads: number;
  readonly #programs: Map<number, Program> = new Map();
  readonly #scratch: Float32Array = new Float32Array(LARGEST_CHUNK);

  /** Must be released. */
  constructor({ threads }: { threads: number }) {
    this.#threads = threads;
  }

  /** Updates one tensor in place. */
  async update(parameter: Float32Array, gradient: Gradient, state: AdamWState, options: UpdateOptions): Promise<void> {
    const { length } = parameter;
    if (length < SMALLEST_CHUNK) return updateTensor(parameter, readGradient(gradient, 0, length), state, options);
    state.step++;
    const scalars = scalarsOf(state.step, options);
    const size = Math.ceil(length / Math.ceil(length / LARGEST_CHUNK));
    for (let start = 0; start < length; start += size) {
      const end = Math.min(length, start + size);
      const inPlace = {
        parameter: parameter.subarray(start, end),
        expAvg: state.expAvg.subarray(start, end),
        expAvgSq: state.expAvgSq.subarray(start, end),
      };
      const feeds = { ...scalars, ...inPlace, gradient: readGradient(gradient, start, end, this.#scratch) };
      await (await this.#programFor(end - start)).runInto(feeds, inPlace);
    }
  }

  async release(): Promise<void> {
    for (const program of this.#programs.values()) await program.release();
    this.#programs.clear();
  }

  /** Tensors of a model have few distinct sizes, so there are few programs. */
  async #programFor(length: number): Promise<Program> {
    const known = this.#programs.get(length);
    if (known !== undefined) return known;
    const program = await compileUpdate(length, this.#threads);
    this.#programs.set(length, program);
    return program;
  }
}

function compileUpdate(length: number, threads: number): Promise<Program> {
  const vector = (name: string) => placeholder(name, [length]);
  const scalar = (name: string) => placeholder(name, []);
  const [parameter, expAvg, expAvgSq, gradient] = ["parameter", "expAvg", "expAvgSq", "gradient"].map(vector);
  const m = add(mul(expAvg!, scalar("keepM")), mul(gradient!, scalar("freshM")));
  const v = add(mul(expAvgSq!, scalar("keepV")), mul(mul(gradient!, gradient!), scalar("freshV")));
  const change = div(m, add(mul(sqrt(v), scalar("rootScale")), scalar("shift")));
  const updated = sub(mul(parameter!, scalar("keep")), change);
  return Program.compile({ parameter: updated, expAvg: m, expAvgSq: v }, { device: "cpu", threads });
}

/** Constants of the update, combined to save passes: the step size divides the denominator. */
function scalarsOf(step: number, options: UpdateOptions): Record<string, Float32Array> {
  const { beta1, beta2, eps, lr, weightDecay, gradientScale } = options;
  const stepSize = lr / (1 - beta1 ** step);
  const values = {
    keep: 1 - lr * weightDecay,
    keepM: beta1,
    freshM: (1 - beta1) * gradientScale,
    keepV: beta2,
    freshV: (1 - beta2) * gradientScale ** 2,
    // If the step size is 0, the change is m / ∞ = 0, even where v is 0.
    rootScale: stepSize === 0 ? 0 : 1 / (Math.sqrt(1 - beta2 ** step) * stepSize),
    shift: stepSize === 0 ? Number.POSITIVE_INFINITY : eps / stepSize,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Float32Array.of(value)]));
}
