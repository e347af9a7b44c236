import { WASM } from "./wasm.js";

/** The functions of assembly/, on addresses in `memory`. */
export interface Kernels {
  /** Growing replaces its buffer. */
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly adamw: (
    parameter: number,
    end: number,
    gradient: number,
    expAvg: number,
    expAvgSq: number,
    scale: number,
    fresh1: number,
    fresh2: number,
    root: number,
    eps: number,
    lr: number,
    decay: number,
  ) => void;
  readonly add: (x: number, end: number, y: number) => void;
  readonly sumOfSquares: (start: number, end: number) => number;
  readonly searchWithMinimum: (
    values: number,
    end: number,
    most: number,
    lowest: number,
    guesses: number,
    codes: number,
    scales: number,
    minima: number,
    scratch: number,
  ) => void;
  readonly searchSymmetric: (values: number, end: number, codes: number, scales: number, scratch: number) => void;
  readonly quantizeFourBit: (
    table: number,
    isFp4: boolean,
    values: number,
    end: number,
    blockBytes: number,
    packed: number,
    absmax: number,
  ) => number;
  readonly dequantizeFourBit: (
    table: number,
    values: number,
    end: number,
    blockBytes: number,
    packed: number,
    absmax: number,
  ) => void;
  readonly quantizeInt8: (values: number, end: number, rowBytes: number, codes: number, scales: number) => number;
  readonly dequantizeInt8: (
    values: number,
    end: number,
    rowBytes: number,
    codes: number,
    scales: number,
    unit: number,
  ) => void;
}

const PAGE = 64 * 1024;

let started: Kernels | undefined;

/**
 * The kernels, with at least `bytes` bytes of memory. All of it is scratch: a caller lays out in it what it needs, from
 * address 0 on, and finds anything there at its next call.
 */
export function kernels(bytes: number): Kernels {
  started ??= start();
  const missing = Math.ceil((bytes - started.memory.buffer.byteLength) / PAGE);
  if (missing > 0) started.memory.grow(missing);
  return started;
}

function start(): Kernels {
  const bytes = Uint8Array.from(atob(WASM), (character) => character.charCodeAt(0));
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
}

/** WebAssembly in every runtime; this project uses the types of none. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Kernels };
};
