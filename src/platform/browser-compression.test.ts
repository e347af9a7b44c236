import { constants, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { Rng } from "../tensor/random.js";
import { decompress as inBrowser } from "./browser-compression.js";
import { decompress as inNode } from "./node-compression.js";

const MANY = 2 ** 24;
const rng = new Rng(0);
const random = (length: number, most = 256): Uint8Array => Uint8Array.from({ length }, () => rng.below(most));
const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** The content, or null where there is none. */
function contentOr(decompress: typeof inNode, bytes: Uint8Array, most = MANY): Buffer | null {
  try {
    return Buffer.from(decompress(bytes, "gzip", most));
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return null;
  }
}

const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_DEFAULT_STRATEGY } = constants;
const CONTENTS = {
  nothing: new Uint8Array(),
  "a byte": Uint8Array.of(7),
  "bytes at random": random(200_000),
  "few kinds of bytes": random(200_000, 3),
  "one byte, repeated": new Uint8Array(300_000).fill(65),
  "a text": new TextEncoder().encode("The cat sat on the mat, and the mat lay under the cat. ".repeat(9000)),
  "words far apart": join(random(20_000, 200), random(20_000, 4), random(20_000, 200)),
};

test.each(Object.entries(CONTENTS))("gzip of %s is that of Node.js, by every level and strategy", (_, content) => {
  for (const level of [0, 1, 6, 9]) {
    for (const strategy of [Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE]) {
      const bytes = gzipSync(content, { level, strategy });
      expect(Buffer.from(inBrowser(bytes, "gzip", content.length)).equals(content)).toBe(true);
      if (content.length > 0) {
        expect(() => inBrowser(bytes, "gzip", content.length - 1)).toThrow(
          `cannot decompress gzip: it holds more than ${content.length - 1} bytes`,
        );
      }
    }
  }
});

test("members, zeros behind them, and names, comments and checks in headers", () => {
  const [one, two] = ["one ", "two"].map((text) => new Uint8Array(gzipSync(text)));
  const zeros = new Uint8Array(5);
  const named = join(one!.with(3, 8).subarray(0, 10), new TextEncoder().encode("a.txt\0"), one!.subarray(10));
  const extra = join(one!.with(3, 4).subarray(0, 10), Uint8Array.of(3, 0, 1, 2, 3), one!.subarray(10));
  const unending = join(one!.with(3, 16).subarray(0, 10), Uint8Array.of(65));
  for (const bytes of [join(one!, two!), join(one!, zeros, two!, zeros), named, extra]) {
    expect(contentOr(inBrowser, bytes)?.toString()).toBe(contentOr(inNode, bytes)!.toString());
  }
  for (const bytes of [
    join(one!, Uint8Array.of(1)),
    new Uint8Array(),
    zeros,
    one!.with(3, 2),
    one!.with(3, 32),
    unending,
  ]) {
    expect([contentOr(inBrowser, bytes), contentOr(inNode, bytes)]).toEqual([null, null]);
  }
});

test("what is cut or damaged is refused where Node.js refuses it, and else has its content", () => {
  const text = new TextEncoder().encode("A damaged file says so, and a whole one is read. ".repeat(8));
  for (const strategy of [Z_DEFAULT_STRATEGY, Z_FIXED]) {
    const bytes = new Uint8Array(gzipSync(join(text, random(60)), { strategy }));
    let refused = 0;
    for (let length = 0; length < bytes.length; length++) {
      expect(contentOr(inBrowser, bytes.subarray(0, length))).toBe(null);
    }
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const damaged = bytes.with(bit >> 3, bytes[bit >> 3]! ^ (1 << (bit & 7)));
      const [here, there] = [contentOr(inBrowser, damaged), contentOr(inNode, damaged)];
      expect([bit, here?.toString("latin1")]).toEqual([bit, there?.toString("latin1")]);
      if (here === null) refused++;
    }
    expect(refused).toBeGreaterThan(7 * bytes.length);
  }
});

test("Brotli is refused by name", () => {
  expect(() => inBrowser(new Uint8Array(4), "brotli", 9)).toThrow("cannot decompress brotli in a browser");
});
