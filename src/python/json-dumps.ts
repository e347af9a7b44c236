import { typeError } from "./error.js";
import { floatText, type Int, intText, isFloat, isInt, toDouble, toIndex } from "./numbers.js";
import {
  charactersOf,
  Dict,
  equals,
  isLess,
  isText,
  isTruthy,
  itemsOf,
  List,
  Tuple,
  typeName,
  type Value,
} from "./values.js";

export interface JsonOptions {
  readonly ensureAscii: Value;
  readonly indent: Value;
  readonly separators: Value;
  readonly sortKeys: Value;
}

/** `json.dumps`: https://docs.python.org/3.11/library/json.html#json.dumps */
export function toJson(value: Value, { ensureAscii, indent, separators, sortKeys }: JsonOptions): string {
  const unit = indentUnit(indent);
  const [between, afterKey] = separatorsOf(separators, unit);
  const isAscii = isTruthy(ensureAscii);
  const isSorted = isTruthy(sortKeys);

  const block = (open: string, close: string, parts: readonly string[], depth: number): string => {
    if (parts.length === 0) return open + close;
    if (unit === undefined) return open + parts.join(between) + close;
    const line = `\n${unit.repeat(depth + 1)}`;
    return `${open}${line}${parts.join(between + line)}\n${unit.repeat(depth)}${close}`;
  };
  const write = (part: Value, depth: number): string => {
    if (isText(part)) return quotedText(charactersOf(part), isAscii);
    if (part === null) return "null";
    if (typeof part === "boolean") return String(part);
    if (isInt(part)) return intText(part);
    if (isFloat(part)) return floatJson(toDouble(part), floatText(part));
    if (part instanceof List || part instanceof Tuple) {
      return block(
        "[",
        "]",
        part.items.map((item) => write(item, depth + 1)),
        depth,
      );
    }
    if (!(part instanceof Dict)) throw typeError(`Object of type ${typeName(part)} is not JSON serializable`);
    const entries = [...part.entries()];
    if (isSorted) entries.sort(([a], [b]) => (isLess(a, b) ? -1 : equals(a, b) ? 0 : isLess(b, a) ? 1 : 0));
    const parts = entries.map(([key, item]) => quotedText(keyText(key), isAscii) + afterKey + write(item, depth + 1));
    return block("{", "}", parts, depth);
  };
  return write(value, 0);
}

function indentUnit(indent: Value): string | undefined {
  if (indent === null) return undefined;
  if (isText(indent)) return charactersOf(indent);
  return " ".repeat(Math.max(0, toIndex(indent as Int | boolean, typeName(indent))));
}

function separatorsOf(separators: Value, unit: string | undefined): [between: string, afterKey: string] {
  if (separators === null) return [unit === undefined ? ", " : ",", ": "];
  const [between, afterKey, ...more] = itemsOf(separators);
  if (between !== undefined && afterKey !== undefined && more.length === 0 && isText(between) && isText(afterKey)) {
    return [charactersOf(between), charactersOf(afterKey)];
  }
  throw typeError("separators must be two texts");
}

function floatJson(double: number, text: string): string {
  if (Number.isNaN(double)) return "NaN";
  return Number.isFinite(double) ? text : double < 0 ? "-Infinity" : "Infinity";
}

function keyText(key: Value): string {
  if (isText(key)) return charactersOf(key);
  if (key === null) return "null";
  if (typeof key === "boolean") return String(key);
  if (isInt(key)) return intText(key);
  if (isFloat(key)) return floatJson(toDouble(key), floatText(key));
  throw typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};

function quotedText(text: string, isAscii: boolean): string {
  const special = isAscii ? /["\\]|[^ -~]/g : /["\\]|\p{Cc}/gu;
  return `"${text.replace(special, (char) => escapedChar(char, isAscii))}"`;
}

function escapedChar(char: string, isAscii: boolean): string {
  const short = SHORT[char];
  if (short !== undefined) return short;
  // Of the control characters, JSON escapes those before the space alone.
  if (!isAscii && char >= "\x7f") return char;
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
