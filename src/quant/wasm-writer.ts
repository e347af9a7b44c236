/**
 * Writes WebAssembly modules with the few instructions that the quantization kernels need, mainly those on 128-bit
 * vectors, which JavaScript does not have. Opcodes and layout: WebAssembly Core Specification 2.0, section 5.
 */

import { append } from "../base/lists.js";

/** Instructions as bytes: operands, then their operator. */
export type Code = readonly number[];

/** A parameter or variable of a function. */
export interface Local {
  readonly index: number;
}

type Operator = (...operands: Code[]) => Code;

const TYPES = { i32: 0x7f, v128: 0x7b } as const;

/** One function with i32 parameters and an i32 result. */
export class FunctionWriter {
  readonly parameters: readonly Local[];
  readonly #variables: number[] = [];
  readonly #body: number[] = [];

  constructor(parameterCount: number) {
    this.parameters = Array.from({ length: parameterCount }, (_, index) => ({ index }));
  }

  /** A new variable, set at the place of this call; in a loop, in each iteration. */
  variable(type: keyof typeof TYPES, value: Code): Local {
    this.#variables.push(TYPES[type]);
    const local = { index: this.parameters.length + this.#variables.length - 1 };
    this.set(local, value);
    return local;
  }

  set(local: Local, value: Code): void {
    this.add([...value, 0x21, ...unsigned(local.index)]);
  }

  /** Adds an instruction without a result. */
  add(code: Code): void {
    append(this.#body, code);
  }

  /** Repeats the code that `body` adds while the condition it returns holds; at least once. */
  loop(body: () => Code): void {
    this.#body.push(0x03, 0x40);
    this.add([...body(), 0x0d, 0, 0x0b]);
  }

  /** Encodes the function as it stands in a module. */
  encode(result: Code): Code {
    const variables = list(this.#variables.map((type) => [1, type]));
    return sized([...variables, ...this.#body, ...result, 0x0b]);
  }
}

export function get(local: Local): Code {
  return [0x20, ...unsigned(local.index)];
}

export const i32: {
  readonly const: (value: number) => Code;
  readonly add: Operator;
  readonly sub: Operator;
  readonly ltU: Operator;
} = {
  const: (value) => [0x41, ...signed(value)],
  add: operator(0x6a),
  sub: operator(0x6b),
  ltU: operator(0x49),
};

/** The same number in all four lanes. */
export const splat: { readonly i32: (value: number) => Code; readonly f32: (value: number) => Code } = {
  i32: (value) => [...i32.const(value), ...vectorOpcode(0x11)],
  f32: (value) => [0x43, ...new Uint8Array(Float32Array.of(value).buffer), ...vectorOpcode(0x13)],
};

/** Loads from the address plus `offset` bytes: a whole vector; 64 bits and zeros; or 32 bits in all four lanes. */
export const load: Readonly<Record<"v128" | "v64" | "splat32", (address: Code, offset?: number) => Code>> = {
  v128: (address, offset = 0) => [...address, ...vectorOpcode(0x00), 0, ...unsigned(offset)],
  v64: (address, offset = 0) => [...address, ...vectorOpcode(0x5d), 0, ...unsigned(offset)],
  splat32: (address, offset = 0) => [...address, ...vectorOpcode(0x09), 0, ...unsigned(offset)],
};

/** Stores to the address plus `offset` bytes: a whole vector, or its first 32 or 64 bits. */
export const store: Readonly<
  Record<"v128" | "low32" | "low64", (address: Code, value: Code, offset?: number) => Code>
> = {
  v128: (address, value, offset = 0) => [...address, ...value, ...vectorOpcode(0x0b), 0, ...unsigned(offset)],
  low32: (address, value, offset = 0) => [...address, ...value, ...vectorOpcode(0x5a), 0, ...unsigned(offset), 0],
  low64: (address, value, offset = 0) => [...address, ...value, ...vectorOpcode(0x5b), 0, ...unsigned(offset), 0],
};

/** Operators on all bits. `select` takes bits of the first operand where the third has ones, else of the second. */
export const v128: Readonly<Record<"and" | "andNot" | "or" | "select", Operator>> = {
  and: vector(0x4e),
  andNot: vector(0x4f),
  or: vector(0x50),
  select: vector(0x52),
};

/** `swizzle` takes, for each byte of the second operand, the first operand's byte at that index; 0 above index 15. */
export const i8x16: Readonly<Record<"swizzle" | "narrow" | "sub", Operator>> & {
  readonly shiftRight: (value: Code, bits: number) => Code;
} = {
  swizzle: vector(0x0e),
  /** Joins two vectors of i16 into one, with saturation. */
  narrow: vector(0x65),
  sub: vector(0x71),
  shiftRight: (value, bits) => [...value, ...i32.const(bits), ...vectorOpcode(0x6d)],
};

export const i16x8: Readonly<Record<"narrow" | "narrowBytes" | "extendLow" | "extendHigh", Operator>> & {
  readonly shiftLeft: (value: Code, bits: number) => Code;
  readonly shiftRight: (value: Code, bits: number) => Code;
} = {
  /** Joins two vectors of i32 into one, with saturation. */
  narrow: vector(0x85),
  /** Joins two vectors of i16 into one of unsigned bytes, with saturation. */
  narrowBytes: vector(0x66),
  extendLow: vector(0x87),
  extendHigh: vector(0x88),
  shiftLeft: (value, bits) => [...value, ...i32.const(bits), ...vectorOpcode(0x8b)],
  shiftRight: (value, bits) => [...value, ...i32.const(bits), ...vectorOpcode(0x8d)],
};

export const i32x4: Readonly<
  Record<"eq" | "ltS" | "add" | "sub" | "maxU" | "extendLow" | "extendHigh" | "first", Operator>
> & { readonly shiftRight: (value: Code, bits: number) => Code } = {
  eq: vector(0x37),
  ltS: vector(0x39),
  add: vector(0xae),
  sub: vector(0xb1),
  maxU: vector(0xb9),
  extendLow: vector(0xa7),
  extendHigh: vector(0xa8),
  /** The first lane as an i32. */
  first: (value) => [...value!, ...vectorOpcode(0x1b), 0],
  shiftRight: (value, bits) => [...value, ...i32.const(bits), ...vectorOpcode(0xad)],
};

export const f32x4: Readonly<Record<"lt" | "gt" | "abs" | "add" | "sub" | "mul" | "div" | "fromInt", Operator>> = {
  lt: vector(0x43),
  gt: vector(0x44),
  abs: vector(0xe0),
  add: vector(0xe4),
  sub: vector(0xe5),
  mul: vector(0xe6),
  div: vector(0xe7),
  fromInt: vector(0xfa),
};

/** Picks bytes by index from both operands, one after the other. */
export function shuffle(a: Code, b: Code, indices: readonly number[]): Code {
  return [...a, ...b, ...vectorOpcode(0x0d), ...indices];
}

/** Joins four vectors of i32 that fit in signed bytes into one vector of bytes. */
export function narrowToBytes(vectors: readonly Code[]): Code {
  const [a, b, c, d] = vectors as [Code, Code, Code, Code];
  return i8x16.narrow(i16x8.narrow(a, b), i16x8.narrow(c, d));
}

export interface WasmModule {
  /** Growing replaces its buffer. */
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly functions: Readonly<Record<string, (...parameters: number[]) => number>>;
}

/** Starts a module with `pages` pages of 64 KiB of memory. */
export function startModule(
  functions: Readonly<Record<string, { readonly parameterCount: number; readonly code: Code }>>,
  pages: number,
): WasmModule {
  const entries = Object.entries(functions);
  const bytes = Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      entries.map(([, f]) => [0x60, ...list(Array(f.parameterCount).fill([TYPES.i32])), ...list([[TYPES.i32]])]),
    ),
    ...section(
      3,
      entries.map((_, index) => unsigned(index)),
    ),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, [[...name("memory"), 2, 0], ...entries.map(([key], index) => [...name(key), 0, ...unsigned(index)])]),
    ...section(
      10,
      entries.map(([, { code }]) => code),
    ),
  ]);
  const { memory, ...exported } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
  return { memory, functions: exported } as unknown as WasmModule;
}

/** WebAssembly in Node.js and browsers; this project uses the types of neither. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
};

function operator(opcode: number): Operator {
  return (...operands) => [...operands.flat(), opcode];
}

function vector(opcode: number): Operator {
  return (...operands) => [...operands.flat(), ...vectorOpcode(opcode)];
}

function vectorOpcode(opcode: number): Code {
  return [0xfd, ...unsigned(opcode)];
}

function section(id: number, entries: readonly Code[]): Code {
  return [id, ...sized(list(entries))];
}

function list(entries: readonly Code[]): Code {
  return [...unsigned(entries.length), ...entries.flat()];
}

function sized(bytes: Code): Code {
  return [...unsigned(bytes.length), ...bytes];
}

function name(text: string): Code {
  return sized([...new TextEncoder().encode(text)]);
}

/** LEB128: seven bits per byte, lowest first, with the top bit set in all but the last. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): Code {
  const rest = value >> 6;
  return rest === 0 || rest === -1 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
