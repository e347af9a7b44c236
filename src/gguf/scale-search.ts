import { kernels } from "../kernels/kernels.js";

/** The groups of a block of 256 numbers as codes times a scale, less a minimum. Valid until the next search. */
export interface ScaledGroups {
  /** A code for each number. */
  readonly codes: Uint8Array;
  /** A scale for each group. */
  readonly scales: Float32Array;
  /** A minimum for each group, at least 0; of groups around zero none counts. */
  readonly minima: Float32Array;
}

/** A search for codes from 0 to `most`. */
export interface MinimumSearch {
  readonly most: number;
  /** The first guesses of the scale are those with `most` more or less by tenths from here on, and how many. */
  readonly lowest: number;
  readonly guesses: number;
}

// Addresses in the memory of the kernels.
const CODES = 4 * 256;
const SCALES = CODES + 256;
const MINIMA = SCALES + 4 * 16;
const SCRATCH = MINIMA + 4 * 8;
const END = SCRATCH + 2048;

/** Searches for scale, minimum and codes of each group of 32: see assembly/scale-search.ts. */
export function searchWithMinimum(block: Float32Array, { most, lowest, guesses }: MinimumSearch): ScaledGroups {
  const { searchWithMinimum: search, groups } = prepare(block);
  search(0, CODES, most, lowest, guesses, CODES, SCALES, MINIMA, SCRATCH);
  return groups;
}

/** Searches for scale and codes from 0 to 63 of each group of 16. A code of 32 stands for 0. */
export function searchSymmetric(block: Float32Array): ScaledGroups {
  const { searchSymmetric: search, groups } = prepare(block);
  search(0, CODES, CODES, SCALES, SCRATCH);
  return groups;
}

/** The kernels, with the block in their memory. */
function prepare(block: Float32Array) {
  const { memory, ...functions } = kernels(END);
  const floats = new Float32Array(memory.buffer, 0, SCRATCH / 4);
  floats.set(block);
  const groups: ScaledGroups = {
    codes: new Uint8Array(memory.buffer, CODES, 256),
    scales: floats.subarray(SCALES / 4, MINIMA / 4),
    minima: floats.subarray(MINIMA / 4, SCRATCH / 4),
  };
  return { ...functions, groups };
}
