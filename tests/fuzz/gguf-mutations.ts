import type { Rng } from "../../src/tensor/random.js";
import { mutateBytes } from "./byte-mutations.js";
import { chance, pick } from "./choice.js";

/** Counts, lengths, sizes, offsets and types that a reader may not expect. */
const NUMBERS: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 4n, 7n, 8n, 9n, 12n, 13n, 16n, 24n, 31n, 32n, 33n, 64n, 255n, 256n, 1000n, 1001n, 65536n],
  ...[2n ** 24n, 2n ** 26n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 40n, 2n ** 53n, 2n ** 63n],
  ...[2n ** 64n - 32n, 2n ** 64n - 1n],
];

/** Changes a GGUF file: bytes anywhere, or whole numbers of the header, which are small and so hold zeros. */
export function mutateGguf(rng: Rng, bytes: Uint8Array): Uint8Array {
  if (chance(rng, 0.2) || bytes.length < 32) return mutateBytes(rng, bytes);
  if (chance(rng, 0.3)) return renamed(rng, bytes);
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  const isWide = chance(rng, 0.6);
  const isNumber = (at: number): boolean =>
    isWide ? view.getUint32(at + 4, true) === 0 : view.getUint8(at) < 64 && view.getUint16(at + 2, true) === 0;
  const places = Array.from({ length: Math.min(bytes.length - 8, 1024) }, (_, at) => at).filter(isNumber);
  if (places.length === 0) return mutateBytes(rng, bytes);
  const at = pick(rng, places);
  if (isWide) view.setBigUint64(at, pick(rng, NUMBERS), true);
  else view.setUint32(at, Number(BigInt.asUintN(32, pick(rng, NUMBERS))), true);
  return changed;
}

/** Another word in the place of one of the header, with as many letters: a key that is missing, and one that is not. */
function renamed(rng: Rng, bytes: Uint8Array): Uint8Array {
  const words = [...new TextDecoder("latin1").decode(bytes.subarray(0, 65_536)).matchAll(/[a-z0-9_.]{4,40}/g)];
  if (words.length === 0) return mutateBytes(rng, bytes);
  const { index, 0: word } = pick(rng, words);
  const other = pick(rng, words)[0];
  const changed = bytes.slice();
  changed.set(new TextEncoder().encode(other.padEnd(word.length, "x").slice(0, word.length)), index);
  return changed;
}
