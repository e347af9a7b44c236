/**
 * Counter-based randomness (Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 * A stream is named by (seed, purpose, step) and its n-th number depends on nothing else, so it is the same on every
 * platform, for every thread count and after a resume.
 */
export class Rng {
  readonly seed: number;
  readonly purpose: string;
  readonly step: number;
  readonly #key: readonly [number, number];
  readonly #block: Uint32Array = new Uint32Array(4);
  #index = 0;

  /** @param seed integer; its low 32 bits count. @param step a non-negative integer, such as the optimizer step. */
  constructor(seed: number, purpose = "", step = 0) {
    this.seed = seed;
    this.purpose = purpose;
    this.step = step;
    this.#key = [seed >>> 0, hashString(purpose)];
  }

  /** The stream of another purpose or step under the same seed. Purposes nest: `a/b`. */
  fork(purpose: string, step: number = this.step): Rng {
    return new Rng(this.seed, this.purpose === "" ? purpose : `${this.purpose}/${purpose}`, step);
  }

  /** An integer, uniform on [0, 2^32). */
  uint32(): number {
    const lane = this.#index % 4;
    if (lane === 0) {
      const counter = Math.floor(this.#index / 4);
      philox4x32(this.#block, [counter >>> 0, Math.floor(counter / 2 ** 32), this.step >>> 0, 0], this.#key);
    }
    this.#index++;
    return this.#block[lane]!;
  }

  /** Uniform on [0, 1), a multiple of 2^-24 and so exact in float32. */
  uniform(): number {
    return (this.uint32() >>> 8) / 2 ** 24;
  }

  /** Standard normal (Box–Muller, one value per two draws). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** An integer, uniform on [0, bound), without modulo bias. `bound` is from 1 to 2^32. */
  below(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const value = this.uint32();
      if (value < limit) return value % bound;
    }
  }
}

const ROUNDS = 10;

/** One Philox4x32-10 block: writes four 32-bit words for the 128-bit `counter` under the 64-bit `key`. */
export function philox4x32(out: Uint32Array, counter: readonly number[], key: readonly number[]): void {
  let [c0, c1, c2, c3] = counter as [number, number, number, number];
  let [k0, k1] = key as [number, number];
  for (let round = 0; round < ROUNDS; round++) {
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The high 32 bits of a 32 × 32-bit product, from 16-bit halves. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  return (a1 * b1 + Math.floor((middle + a0 * b1) / 2 ** 16)) >>> 0;
}

/** FNV-1a, 32 bits, over UTF-16 code units: names a stream, not a secret. */
function hashString(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
