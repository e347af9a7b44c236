import { FROM_ZERO, INTEGER, instanceOf, type Kind, type Kinds, requireArguments } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";

const SOURCE = { seed: INTEGER, step: FROM_ZERO } as const satisfies Kinds;

/**
 * Counter-based randomness (Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). A stream
 * is named by (seed, purpose, step), and its n-th number depends on nothing else. It is therefore the same on every
 * platform, for every thread count and after a resume.
 */
export class Rng {
  readonly seed: number;
  readonly purpose: string;
  readonly step: number;
  readonly #key: readonly [number, number];
  readonly #counter: Uint32Array;
  readonly #block: Uint32Array = new Uint32Array(4);
  #lane = 4;
  #spareNormal: number | undefined;

  /**
   * @param seed integer; only its low 32 bits are used.
   * @param step a non-negative integer, such as the optimizer step.
   * @throws ConfigError for other numbers.
   */
  constructor(seed: number, purpose = "", step = 0) {
    requireArguments("Rng", SOURCE, { seed, step });
    this.seed = seed;
    this.purpose = purpose;
    this.step = step;
    this.#key = [seed >>> 0, hashString(purpose)];
    this.#counter = Uint32Array.of(0, 0, step, 0);
  }

  /** The stream of another purpose or step under the same seed. Purposes nest: `a/b`. */
  fork(purpose: string, step: number = this.step): Rng {
    return new Rng(this.seed, this.purpose === "" ? purpose : `${this.purpose}/${purpose}`, step);
  }

  /** An integer, uniform on [0, 2^32). */
  uint32(): number {
    if (this.#lane === 4) {
      philox4x32(this.#block, this.#counter, this.#key);
      this.#lane = 0;
      this.#counter[0]!++;
      if (this.#counter[0] === 0) this.#counter[1]!++;
    }
    return this.#block[this.#lane++]!;
  }

  /** Uniform on [0, 1), a multiple of 2^-24 and so exact in float32. */
  uniform(): number {
    return (this.uint32() >>> 8) / 2 ** 24;
  }

  /** Standard normal (Box–Muller: two values from two draws). */
  normal(): number {
    const spare = this.#spareNormal;
    if (spare !== undefined) {
      this.#spareNormal = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /**
   * An integer, uniform on [0, bound), without modulo bias.
   * @throws ConfigError unless `bound` is from 1 to 2^32.
   */
  below(bound: number): number {
    if (!(bound >= 1 && bound <= 2 ** 32))
      throw new ConfigError(`Rng.below: bound must be from 1 to 2^32, got ${bound}`);
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const value = this.uint32();
      if (value < limit) return value % bound;
    }
  }
}

/** An argument that must be one. */
export const RNG: Kind = instanceOf("an Rng", Rng);

const ROUNDS = 10;

/** One Philox4x32-10 block: writes four 32-bit words for the 128-bit `counter` under the 64-bit `key`. */
export function philox4x32(out: Uint32Array, counter: ArrayLike<number>, key: ArrayLike<number>): void {
  let c0 = counter[0]! | 0;
  let c1 = counter[1]! | 0;
  let c2 = counter[2]! | 0;
  let c3 = counter[3]! | 0;
  let k0 = key[0]! | 0;
  let k1 = key[1]! | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(0xd251, 0x1f53, c0);
    const high1 = multiplyHigh(0xcd9e, 0x8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * The high 32 bits of a 32 × 32-bit product, the left factor given as 16-bit halves. No partial sum passes 2^32, so
 * int32 arithmetic, which is fast, keeps every bit.
 */
function multiplyHigh(a1: number, a0: number, b: number): number {
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) | 0;
  const low = (Math.imul(a0, b1) + (middle & 0xffff)) | 0;
  return (Math.imul(a1, b1) + (middle >>> 16) + (low >>> 16)) | 0;
}

/** FNV-1a, 32 bits, over UTF-16 code units: names a stream, not a secret. */
function hashString(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
