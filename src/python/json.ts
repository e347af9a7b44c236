import { isObject, parseJson } from "../base/json.js";
import { PythonFloat } from "./float.js";

/**
 * A text whose numbers might not all be the same in JavaScript, or whose objects might have their keys in another
 * order; strings that look so do no harm.
 */
const UNLIKE = /\d{16}|\d\.0*(?!\d)|\d[eE]|-0|"\d{1,10}"\s*:/;

/** Keys that JavaScript puts first, by size, wherever they stood. */
const INDEX = /^(?:0|[1-9]\d{0,9})$/;

const NUMBER = /^-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

const MAX_INDEX_DIGITS = 10;

/** Longest integer, as in Python. */
const MAX_DIGITS = 4300;

/** Key of an object that stands for a number. Unicode reserves the character for use inside programs. */
const MARK = "\ufdd0number";

/** Stands before a key that is an index, so that it keeps its place. */
const KEY_MARK = "\ufdd0key";
const MARKED_KEY = new RegExp(`"${KEY_MARK}(\\d+)":`, "g");

/** A number among the texts that `writePythonJson` makes. */
const MARKED_TEXT = new RegExp(`"${MARK}(-?\\d[\\d.e+-]*)"`, "g");

/**
 * Parses JSON with the numbers of Python's `json`: an int has all its digits, as a bigint beyond 2^53, and a float that
 * a JavaScript number would take for an int is a `PythonFloat`. Keys keep their order, for which those that are an
 * index get a mark: `plainKey` takes it off.
 * @throws SyntaxError as `parseJson`.
 */
export function parsePythonJson(text: string): unknown {
  const value = parseJson(text);
  if (!UNLIKE.test(text)) return value;
  const marked = markUnlike(text);
  if (marked === text) return value;
  return JSON.parse(marked, (_, value: unknown) => {
    return isObject(value) && typeof value[MARK] === "string" ? pythonNumber(value[MARK]) : value;
  });
}

/** Writes a value so that `parsePythonJson` gives it back. */
export function writePythonJson(value: unknown): string {
  // `JSON.stringify` asks a PythonFloat for its `toJSON` before the replacer sees it.
  const text = JSON.stringify(value, function (this: Readonly<Record<string, unknown>>, key, item: unknown) {
    const own = this[key];
    if (own instanceof PythonFloat) return `${MARK}${pythonText(own.value)}`;
    if (typeof item === "bigint") return `${MARK}${item}`;
    // Python reads a float that is too large as infinite.
    return item === Number.POSITIVE_INFINITY || item === Number.NEGATIVE_INFINITY
      ? `${MARK}${item < 0 ? "-" : ""}1e999`
      : item;
  });
  return text.replace(MARKED_TEXT, "$1").replace(MARKED_KEY, '"$1":');
}

/** A key as it stood in the text. */
export function plainKey(key: string): string {
  return key.startsWith(KEY_MARK) ? key.slice(KEY_MARK.length) : key;
}

/** The object with its own keys as they stood in the text, in JavaScript's order; keys of objects in it stay marked. */
export function withPlainKeys(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [plainKey(key), value]));
}

function pythonText(value: number): string {
  const digits = Object.is(value, -0) ? "-0" : `${value}`;
  return /[.e]/.test(digits) ? digits : `${digits}.0`;
}

/** The value with plain keys and each number as JavaScript's own, rounded where it has too many digits. */
export function plainNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof PythonFloat) return value.value;
  if (Array.isArray(value)) return value.map(plainNumbers);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [plainKey(key), plainNumbers(item)]));
}

/**
 * Replaces each number that JavaScript would change by an object with its text, and marks keys that are an index. The
 * text must be valid JSON.
 */
function markUnlike(text: string): string {
  let marked = "";
  let copied = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') {
      const start = at + 1;
      for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
      if (at - start <= MAX_INDEX_DIGITS && INDEX.test(text.slice(start, at)) && isBeforeColon(text, at + 1)) {
        marked += text.slice(copied, start) + KEY_MARK;
        copied = start;
      }
    } else if (char === "-" || (char >= "0" && char <= "9")) {
      let end = at + 1;
      while (isNumberPart(text[end])) end++;
      const number = text.slice(at, end);
      if (typeof pythonNumber(number) !== "number") {
        marked += `${text.slice(copied, at)}{"${MARK}":"${number}"}`;
        copied = end;
      }
      at = end - 1;
    }
  }
  return copied === 0 ? text : marked + text.slice(copied);
}

/** Only a key has a colon behind it. */
function isBeforeColon(text: string, from: number): boolean {
  let at = from;
  while (text[at] !== undefined && " \t\n\r".includes(text[at]!)) at++;
  return text[at] === ":";
}

function isNumberPart(char: string | undefined): boolean {
  return char !== undefined && ((char >= "0" && char <= "9") || ".eE+-".includes(char));
}

function pythonNumber(text: string): number | bigint | PythonFloat {
  const value = Number(text);
  const [, fraction, exponent] = NUMBER.exec(text) ?? [];
  const isFloat = fraction !== undefined || exponent !== undefined;
  if (isFloat) return Number.isInteger(value) ? new PythonFloat(value) : value;
  if (Number.isSafeInteger(value)) return value;
  if (text.length <= MAX_DIGITS) return BigInt(text);
  throw new SyntaxError(`an integer has ${text.length} digits, more than ${MAX_DIGITS}`);
}
