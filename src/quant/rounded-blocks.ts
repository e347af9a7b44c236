/** Weights of a row that share a scale. */
export const ROUNDED_BLOCK = 32;

/** A matrix as ONNX Runtime's MatMulNBits reads it: scale · (code − 2^(bits − 1)). */
export interface RoundedBlocks {
  /** Codes row by row; of two 4-bit ones in a byte the first is in the lower half. */
  readonly codes: Uint8Array;
  /** A scale for each block, row by row. Not finite where a weight of the block is not. */
  readonly scales: Float32Array;
}

/**
 * Rounds weights, row-major, to equal steps in blocks of {@link ROUNDED_BLOCK}. The weight farthest from 0 has the
 * lowest code, which is one step farther out than the highest.
 * @param values rows of whole blocks.
 */
export function roundToBlocks(values: Float32Array, bits: 4 | 8): RoundedBlocks {
  const half = 2 ** (bits - 1);
  const codes = new Uint8Array((values.length * bits) / 8);
  const scales = new Float32Array(values.length / ROUNDED_BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const from = block * ROUNDED_BLOCK;
    let [size, farthest] = [0, 0];
    for (let i = from; i < from + ROUNDED_BLOCK; i++) {
      const magnitude = Math.abs(values[i]!);
      // The comparison is false for NaN, which goes on.
      if (magnitude <= size) continue;
      [size, farthest] = [magnitude, values[i]!];
      if (!Number.isFinite(magnitude)) break;
    }
    const scale = Math.fround(farthest / -half);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let i = from; i < from + ROUNDED_BLOCK; i++) {
      const code = Math.min(2 * half - 1, Math.max(0, Math.round(values[i]! * inverse) + half));
      if (bits === 8) codes[i] = code;
      else codes[i >> 1]! |= code << (4 * (i & 1));
    }
  }
  return { codes, scales };
}
