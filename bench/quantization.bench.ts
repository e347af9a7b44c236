// How long does it take to quantize a weight and to dequantize it? Against copying as many bytes as are read and written.
import { parseArgs } from "node:util";
import { nestAbsmax, restoreAbsmax } from "../src/quant/double-quantization.js";
import { dequantizeFourBit, quantizeFourBit } from "../src/quant/four-bit.js";
import { dequantizeInt8, quantizeInt8 } from "../src/quant/int8.js";
import { Rng } from "../src/tensor/random.js";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";

const { values: flags } = parseArgs({
  options: {
    elements: { type: "string", default: "100000000" },
    columns: { type: "string", default: "4000" },
    rounds: { type: "string", default: "7" },
    out: { type: "string" },
  },
});
const [elements, columns, rounds] = [Number(flags.elements), Number(flags.columns), Number(flags.rounds)];
const shape = { rows: elements / columns, columns };
if (!Number.isInteger(shape.rows))
  throw new Error(`--elements must be a multiple of --columns ${columns}, got ${elements}`);

interface Task {
  readonly name: string;
  readonly run: () => void;
  readonly bytes: number;
  readonly ms: number[];
  readonly copyMs: number[];
}

const started = setting();
const weight = normalWeight();
const restored = new Float32Array(elements);
const tasks = [...fourBitTasks("nf4"), ...fourBitTasks("fp4"), ...int8Tasks()];

// The first round compiles the loops and is dropped.
for (let round = -1; round < rounds; round++) {
  for (const task of tasks) {
    const ms = timeOf(task.run);
    const copyMs = timeOf(() => copy(task.bytes / 2));
    if (round < 0) continue;
    task.ms.push(ms);
    task.copyMs.push(copyMs);
  }
}

console.log(
  markdownTable(
    [`${(elements / 1e6).toFixed(0)} M elements`, "ms", "copy, ms", "ratio"],
    tasks.map(({ name, ms, copyMs }) => {
      const [own, copied] = [median(ms), median(copyMs)];
      return [name, own.toFixed(own < 10 ? 1 : 0), copied.toFixed(copied < 10 ? 1 : 0), (own / copied).toFixed(1)];
    }),
  ),
);
console.log(`\nBlocks of 64, rows of ${columns}, one thread, medians of ${rounds} rounds in turns.`);
console.log(settingLine(started));
if (flags.out !== undefined) {
  writeResult(flags.out, { setting: started, flags, results: tasks.map(({ run: _, ...task }) => task) });
}

function task(name: string, bytes: number, run: () => void): Task {
  return { name, run, bytes, ms: [], copyMs: [] };
}

function fourBitTasks(type: "nf4" | "fp4"): Task[] {
  const format = { type, blockSize: 64 };
  const codes = quantizeFourBit(weight, format);
  const nested = nestAbsmax(codes.absmax);
  const scales = restoreAbsmax(nested);
  checkError(type, dequantizeFourBit(codes, format, elements, restored), 0.2);
  const bytes = weight.byteLength + codes.packed.byteLength + codes.absmax.byteLength;
  return [
    task(`${type}: quantize`, bytes, () => quantizeFourBit(weight, format, { into: codes })),
    task(`${type}: dequantize`, bytes, () => dequantizeFourBit(codes, format, elements, restored)),
    task(`${type}: nest and restore scales`, 2 * (scales.byteLength + nested.codes.byteLength), () => {
      nestAbsmax(codes.absmax, nested);
      restoreAbsmax(nested, scales);
    }),
  ];
}

function int8Tasks(): Task[] {
  const quantized = quantizeInt8(weight, shape);
  checkError("int8", dequantizeInt8(quantized, shape, restored), 0.02);
  const bytes = weight.byteLength + quantized.codes.byteLength + quantized.scales.byteLength;
  return [
    task("int8: quantize", bytes, () => quantizeInt8(weight, shape, { into: quantized })),
    task("int8: dequantize", bytes, () => dequantizeInt8(quantized, shape, restored)),
  ];
}

/** A million normal numbers of deviation 0.02 again and again: too many for branch prediction to learn. */
function normalWeight(): Float32Array {
  const values = new Float32Array(elements);
  const period = Math.min(2 ** 20, elements);
  const rng = new Rng(0, "weight");
  for (let i = 0; i < period; i++) values[i] = 0.02 * rng.normal();
  for (let filled = period; filled < elements; filled *= 2) values.copyWithin(filled, 0, filled);
  return values;
}

/** There is no table unless the work was done: the error must be that of the format, relative to the weight. */
function checkError(name: string, values: Float32Array, most: number): void {
  let [error, size] = [0, 0];
  for (let i = 0; i < elements; i++) {
    error += (values[i]! - weight[i]!) ** 2;
    size += weight[i]! ** 2;
  }
  const relative = Math.sqrt(error / size);
  if (!(relative > 0 && relative < most))
    throw new Error(`${name}: relative error ${relative}, at most ${most} was expected`);
}

function copy(bytes: number): void {
  new Uint8Array(restored.buffer, 0, bytes).set(new Uint8Array(weight.buffer, 0, bytes));
}

function timeOf(run: () => void): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}
