import type { Rng } from "../../src/tensor/random.js";
import { chance, pick } from "./choice.js";
import { RawJson } from "./json-text.js";

/** Nesting that overflows the stack of whatever descends by recursion. */
const DEEP = 100_000;

const NUMBERS: readonly (number | RawJson)[] = [
  ...[0, -1, 1, 2, 0.5, 3, 7, 8, 16, 64, 255, 256, 65_536, 2 ** 26, 1e9, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40],
  ...[2 ** 53 - 1, 2 ** 53, 2 ** 63, 1e308, -1e308, 1e-308, -(2 ** 31)],
  ...["-0", "1e400", "-1e400", "NaN", "Infinity", "0x10", "1_000", `1${"0".repeat(400)}`].map(
    (text) => new RawJson(text),
  ),
];

const NAMES: readonly string[] = [
  ...["", " ", "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "toJSON", "length", "then"],
  ...["\0", "a\0b", "\ud800", "\udfff\ud800", "\ufeff", "é́", "\u202e", "\u001b[2J", "null", "0", "-1", "1e5"],
];

/** Paths that lead out of a folder, or that some system reads as other than a plain name. */
export const PATHS: readonly string[] = [
  ...["../outside.safetensors", "../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/stdin", ".", "..", "./", "~"],
  ...["a/../../outside.safetensors", "..\\outside.safetensors", "C:\\x.safetensors", "\\\\host\\share\\x.safetensors"],
  ...["model.safetensors\0.safetensors", "model.safetensors/", ".safetensors", "file:///etc/passwd", "CON", "-"],
];

export function hostileString(rng: Rng): string {
  if (chance(rng, 0.1))
    return pick(rng, ["a", "é", "😀", "\0", '"', "\\", " ", "\n", "a."]).repeat(10 ** (1 + rng.below(5)));
  return pick(rng, chance(rng, 0.5) ? NAMES : PATHS);
}

export function hostileNumber(rng: Rng): number | RawJson {
  return pick(rng, NUMBERS);
}

/** A JSON value, or text in its place, that a reader may not expect. */
export function hostileValue(rng: Rng): unknown {
  const kind = rng.below(12);
  if (kind < 4) return hostileNumber(rng);
  if (kind < 7) return hostileString(rng);
  if (kind === 7) return pick(rng, [null, true, false]);
  if (kind === 8) return pick(rng, [[], {}, [[]], [null], [1, "a"], { a: 1 }, { __proto__: null }, [-1], ["a", "a"]]);
  if (kind === 9) return { toString: 1, valueOf: null, content: { toString: 1 }, toJSON: "x" };
  if (kind === 10)
    return chance(rng, 0.2) ? deep(rng) : Array.from({ length: 1 + rng.below(40) }, () => hostileNumber(rng));
  return pick(rng, [
    new RawJson(""),
    new RawJson("undefined"),
    new RawJson('{"__proto__":{"a":1}}'),
    new RawJson("'a'"),
  ]);
}

function deep(rng: Rng): RawJson {
  const depth = pick(rng, [50, 70, 1000, DEEP]);
  const [open, middle, close] = pick(rng, [
    ["[", "", "]"],
    ['{"a":', "1", "}"],
    ['[{"":', "null", "}]"],
  ] as const);
  return new RawJson(open.repeat(depth) + middle + close.repeat(chance(rng, 0.8) ? depth : depth - 1));
}
