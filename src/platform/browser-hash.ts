import { openForReading, piecesOf } from "./browser-files.js";

// SHA-256 (FIPS 180-4) in JavaScript: that of browsers is asynchronous and takes no pieces.

const BLOCK = 64;

/** First 32 bits of the fractional parts of roots of the first primes: the state at the start, and a round's constant. */
const { initial, constants } = ((): { initial: Int32Array; constants: Int32Array } => {
  const primes: number[] = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  const bits = (root: number): number => Math.floor((root % 1) * 2 ** 32) | 0;
  return {
    initial: Int32Array.from(primes.slice(0, 8), (prime) => bits(Math.sqrt(prime))),
    constants: Int32Array.from(primes, (prime) => bits(Math.cbrt(prime))),
  };
})();

class Sha256 {
  readonly #state = initial.slice();
  readonly #words = new Int32Array(BLOCK);
  readonly #rest = new Uint8Array(BLOCK);
  #length = 0;

  update(bytes: Uint8Array): void {
    let at = 0;
    const filled = this.#length % BLOCK;
    this.#length += bytes.length;
    if (filled > 0) {
      at = Math.min(BLOCK - filled, bytes.length);
      this.#rest.set(bytes.subarray(0, at), filled);
      if (filled + at < BLOCK) return;
      this.#take(this.#rest, 0);
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.#take(bytes, at);
    this.#rest.set(bytes.subarray(at));
  }

  hex(): string {
    const bits = 8 * this.#length;
    const filled = this.#length % BLOCK;
    const end = new Uint8Array((filled < 56 ? BLOCK : 2 * BLOCK) - filled);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(end.length - 4, bits >>> 0);
    this.update(end);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #take(bytes: Uint8Array, at: number): void {
    const w = this.#words;
    for (let i = 0; i < 16; i++) {
      const byte = at + 4 * i;
      w[i] = (bytes[byte]! << 24) | (bytes[byte + 1]! << 16) | (bytes[byte + 2]! << 8) | bytes[byte + 3]!;
    }
    for (let i = 16; i < 64; i++) {
      const [x, y] = [w[i - 15]!, w[i - 2]!];
      const first = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const second = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = w[i - 16]! + first + w[i - 7]! + second;
    }
    const state = this.#state;
    let [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!];
    let [e, f, g, h] = [state[4]!, state[5]!, state[6]!, state[7]!];
    for (let i = 0; i < 64; i++) {
      const ofE = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + ofE + ((e & f) ^ (~e & g)) + constants[i]! + w[i]!) | 0;
      const ofA = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (ofA + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    state[0]! += a;
    state[1]! += b;
    state[2]! += c;
    state[3]! += d;
    state[4]! += e;
    state[5]! += f;
    state[6]! += g;
    state[7]! += h;
  }
}

/** SHA-256 of the bytes, or of the chunks one after another, in lower-case hexadecimal. */
export function sha256(bytes: Uint8Array | Iterable<Uint8Array>): string {
  const hash = new Sha256();
  for (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) hash.update(chunk);
  return hash.hex();
}

/** SHA-256 of a file of any size, read in pieces. @throws DataError if it cannot be read. */
export async function sha256File(path: string): Promise<string> {
  const hash = new Sha256();
  for await (const piece of piecesOf(await openForReading(path))) hash.update(piece);
  return hash.hex();
}
