import { kernels } from "../kernels/kernels.js";

/** Numbers that ranks add up, in their own type. */
export type Floats = Float32Array | Float64Array;

/** Elements added at once, which stay in the cache. */
const CHUNK = 16 * 1024;

/** Puts a[i] + b[i] in place of `into`, which may be one of them. All have the same type and length. */
export function add(a: Floats, b: Floats, into: Floats): void {
  if (into instanceof Float32Array) addByKernel(a, b, into);
  else for (let i = 0; i < into.length; i++) into[i] = a[i]! + b[i]!;
}

function addByKernel(a: Floats, b: Floats, into: Float32Array): void {
  const { memory, add } = kernels(2 * 4 * CHUNK);
  const [x, y] = [new Float32Array(memory.buffer, 0, CHUNK), new Float32Array(memory.buffer, 4 * CHUNK, CHUNK)];
  for (let start = 0; start < into.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, into.length);
    x.set(a.subarray(start, end));
    y.set(b.subarray(start, end));
    // The kernel takes eight at a time; what it adds behind the last one is not read.
    add(0, 4 * (end - start), 4 * CHUNK);
    into.set(x.subarray(0, end - start), start);
  }
}
