import type { Rng } from "../../src/tensor/random.js";
import { pick, weighted } from "./choice.js";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What is inserted into files: byte order marks, zero bytes, bytes that are not UTF-8, signatures of other formats. */
const SNIPPETS: readonly Uint8Array[] = [
  ...["\ufeff", "\0", "\0\0\0\0\0\0\0\0", "\r", "\r\n", "\n\n", "{", "}", "[", '"', "\\", "<|endoftext|>", "```", "# "],
  ...["PK\u0003\u0004", "PAR1", "%PDF-1.7", "\u2028", "nan", "-", "𝒳"],
]
  .map(utf8)
  .concat(
    [
      [0xff, 0xfe],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0x80, 0x02],
      [0xf4, 0x90, 0x80, 0x80],
      [0x1f, 0x8b],
    ].map((bytes) => Uint8Array.from(bytes)),
  );

/** Changes bytes without regard to what they mean. */
export function mutateBytes(rng: Rng, bytes: Uint8Array): Uint8Array {
  const at = rng.below(bytes.length + 1);
  return weighted<Uint8Array>(rng, [
    [3, () => flipBits(rng, bytes)],
    [2, () => bytes.slice(0, at)],
    [1, () => bytes.slice(at)],
    [3, () => splice(bytes, at, 0, pick(rng, SNIPPETS))],
    [1, () => splice(bytes, at, 1 + rng.below(16), new Uint8Array(0))],
    [1, () => splice(bytes, at, 0, bytes.slice(at, at + 1 + rng.below(64)))],
    [1, () => splice(bytes, at, 0, new Uint8Array(1 + rng.below(4096)).fill(rng.below(256)))],
    [
      1,
      () =>
        splice(
          bytes,
          at,
          8,
          Uint8Array.from({ length: 8 }, () => rng.below(256)),
        ),
    ],
    [0.5, () => new Uint8Array(0)],
    [0.5, () => Uint8Array.from({ length: rng.below(300) }, () => rng.below(256))],
  ]);
}

function flipBits(rng: Rng, bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  for (let flips = 1 + rng.below(4); flips > 0 && changed.length > 0; flips--)
    changed[rng.below(changed.length)]! ^= 1 << rng.below(8);
  return changed;
}

function splice(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  const rest = bytes.subarray(at + removed);
  const changed = new Uint8Array(at + inserted.length + rest.length);
  changed.set(bytes.subarray(0, at));
  changed.set(inserted, at);
  changed.set(rest, at + inserted.length);
  return changed;
}
