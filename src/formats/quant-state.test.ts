import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { formatQuantState, parseQuantState, pythonFloat, type QuantState } from "./quant-state.js";

const golden = JSON.parse(await readFile("tests/golden/bitsandbytes-layout.json", "utf8"));

const state: QuantState = {
  quantType: "nf4",
  blockSize: 64,
  dtype: "float32",
  shape: [4, 64],
  nestedOffset: 0.02499999850988388,
};
const fields = {
  quant_type: "nf4",
  blocksize: 64,
  dtype: "float32",
  shape: [4, 64],
  nested_blocksize: 256,
  nested_dtype: "float32",
  nested_offset: 0.02499999850988388,
};
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const faultsOf = (text: string): string[] => {
  const faults: string[] = [];
  expect(parseQuantState(bytesOf(text), faults)).toBeUndefined();
  return faults;
};

test("the JSON is byte for byte what bitsandbytes writes, and reads back", () => {
  const text =
    '{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [4, 64], ' +
    '"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.02499999850988388}';
  expect(new TextDecoder().decode(formatQuantState(state))).toBe(text);
  expect(text.length).toBe(166);
  expect(parseQuantState(bytesOf(text), [])).toEqual(state);
  const flat = formatQuantState({ ...state, nestedOffset: null });
  expect(new TextDecoder().decode(flat)).toBe(`${text.slice(0, text.indexOf(', "nested'))}}`);
  expect(parseQuantState(flat, [])).toEqual({ ...state, nestedOffset: null });
});

test("numbers are printed as Python prints them", () => {
  expect(golden.floats.length).toBeGreaterThan(200);
  for (const [bytes, text] of golden.floats) {
    const value = new DataView(Uint8Array.from(Buffer.from(bytes, "hex")).buffer).getFloat64(0, true);
    expect(pythonFloat(value)).toBe(text);
  }
});

test.each([
  ["quant_type", "int4", 'quant_type must be "nf4" or "fp4", not "int4"'],
  ["blocksize", 48, "blocksize must be a power of two from 16 to 4096, not 48"],
  ["blocksize", 8192, "blocksize must be"],
  ["blocksize", "64", "blocksize must be"],
  ["dtype", "float64", 'dtype must be float32 or bfloat16 or float16, not "float64"'],
  ["shape", [4], "shape must be two positive integers, not [4]"],
  ["shape", [4, 0], "shape must be"],
  ["shape", [4, 2.5], "shape must be"],
  ["shape", [2 ** 40, 2 ** 40], "shape must be"],
  ["shape", undefined, "shape must be two positive integers, not missing"],
  ["nested_blocksize", 128, "nested_blocksize must be 256, not 128"],
  ["nested_dtype", "float16", 'nested_dtype must be "float32"'],
  ["nested_offset", undefined, "nested_offset must be a number that float32 can hold, not missing"],
  ["nested_offset", 1e39, "nested_offset must be"],
  ["nested_offset", null, "nested_offset must be"],
  ["bits", 4, 'quant_state has an unknown key "bits"'],
])("a quant_state whose %s is %j is refused", (key, value, fault) => {
  const faults = faultsOf(JSON.stringify({ ...fields, [key]: value }));
  expect(faults).toEqual([expect.stringContaining(fault)]);
});

test("content that is not a JSON object is refused, and all faults come at once", () => {
  expect(faultsOf("{'quant_type': 'nf4'}")).toEqual([expect.stringContaining("quant_state is not JSON")]);
  expect(faultsOf('{"nested_offset": NaN}')).toEqual([expect.stringContaining("quant_state is not JSON")]);
  expect(faultsOf("[]")).toEqual(["quant_state must be a JSON object, not an array"]);
  expect(faultsOf('{"x": 1}')).toHaveLength(5);
  const faults: string[] = [];
  expect(parseQuantState(new Uint8Array([0xff]), faults)).toBeUndefined();
  expect(faults).toHaveLength(1);
});
