import { expect, test } from "vitest";
import { FunctionWriter, get, i32, i32x4, type Local, load, splat, startModule, store } from "./wasm-writer.js";

const LIMITS = [63, 64, 127, 128, 8191, 8192, 2 ** 20, 2 ** 27, 2 ** 31 - 1];

test("integers of any length are written as they are", () => {
  const values = [0, 1, -1, ...LIMITS, ...LIMITS.map((value) => -value), -65, -(2 ** 31)];
  const functions = values.map((value, i) => {
    return [`f${i}`, { parameterCount: 0, code: new FunctionWriter(0).encode(i32.const(value)) }] as const;
  });
  const module = startModule(Object.fromEntries(functions), 1);
  expect(values.map((_, i) => module.functions[`f${i}`]!())).toEqual(values);
});

test("a loop runs until its condition fails, and a variable in it is set in each iteration", () => {
  const f = new FunctionWriter(1);
  const [count] = f.parameters as [Local];
  const i = f.variable("i32", i32.const(0));
  const total = f.variable("i32", i32.const(0));
  f.loop(() => {
    const doubled = f.variable("i32", i32.add(get(i), get(i)));
    f.set(total, i32.add(get(total), get(doubled)));
    f.set(i, i32.add(get(i), i32.const(1)));
    return i32.ltU(get(i), get(count));
  });
  const { functions } = startModule({ twiceTheSum: { parameterCount: 1, code: f.encode(get(total)) } }, 1);
  expect(functions.twiceTheSum!(10)).toBe(90);
  expect(functions.twiceTheSum!(1)).toBe(0);
});

test("more variables and offsets than fit in a byte", () => {
  const f = new FunctionWriter(1);
  const [address] = f.parameters as [Local];
  const vectors = Array.from({ length: 200 }, (_, i) => f.variable("v128", splat.i32(i)));
  for (const [i, vector] of vectors.entries()) f.add(store.v128(get(address), get(vector), 16 * i));
  const last = load.v128(get(address), 16 * 199);
  const { functions, memory } = startModule({ fill: { parameterCount: 1, code: f.encode(i32x4.first(last)) } }, 1);
  expect(functions.fill!(32)).toBe(199);
  const expected = Array.from({ length: 800 }, (_, i) => i >> 2);
  expect(Array.from(new Int32Array(memory.buffer, 32, 800))).toEqual(expected);
});
