import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { FourBitFormat } from "../../src/quant/four-bit.js";

/** Arrays are the hexadecimal digits of their little-endian bytes. */
export interface GoldenFourBit extends FourBitFormat {
  readonly packed: string;
  readonly absmax: string;
  readonly sha256OfDequantized: string;
}

export interface GoldenInt8 {
  readonly rows: number;
  readonly columns: number;
  readonly codes: string;
  readonly scales: string;
  readonly sha256OfDequantized: string;
}

export interface GoldenNested {
  readonly seed: number;
  readonly length: number;
  readonly codes: string;
  readonly absmax: string;
  readonly offset: string;
  readonly restored: string;
}

/** What NumPy and PyTorch computed by bitsandbytes' rules. */
export const golden = JSON.parse(readFileSync(new URL("../golden/bitsandbytes.json", import.meta.url), "utf8")) as {
  weights: { seed: number; sha256: string };
  randomFourBit: (GoldenFourBit & { seed: number; length: number })[];
  edgeFourBit: (GoldenFourBit & { values: string })[];
  randomInt8: (GoldenInt8 & { seed: number })[];
  edgeInt8: GoldenInt8 & { values: string };
  tiedInt8: GoldenInt8 & { values: string };
  everyInt8Code: { scale: number; sha256OfDequantized: string };
  nested: GoldenNested[];
  dynamicMap: string;
};

/** The weights that the script of the golden values draws from this seed. */
export function drawWeights(seed: number, count: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    let total = -(2 ** 25);
    for (let draw = 0; draw < 4; draw++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      total += state >>> 8;
    }
    return total * 2 ** -30;
  });
}

export function hexOf(array: ArrayBufferView): string {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("hex");
}

export function floatsOf(hex: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(hex, "hex")).buffer);
}

export function sha256Of(array: ArrayBufferView): string {
  return createHash("sha256")
    .update(Buffer.from(array.buffer, array.byteOffset, array.byteLength))
    .digest("hex");
}
