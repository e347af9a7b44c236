import { PythonError, valueError } from "./error.js";
import { formatValue } from "./format-spec.js";
import { asciiRepr } from "./percent-format.js";
import { repr, str, type Value } from "./values.js";

/** Values for the fields of a text. */
export interface FieldSource {
  readonly values: readonly Value[];
  readonly named: (key: string) => Value | undefined;
  readonly attribute: (value: Value, name: string) => Value;
  readonly item: (value: Value, key: Value) => Value;
  /** The text of a field, escaped where the text is for HTML. */
  readonly shown: (value: Value, formatted: string) => string;
}

/** Fields within the format of fields, as `{:{width}}`, go no deeper. */
const MAX_DEPTH = 2;

/**
 * `text.format(...)` as the sandbox runs it, with Jinja2's own look-up of attributes and items.
 * https://docs.python.org/3.11/library/string.html#format-string-syntax
 */
export function formatFields(text: string, source: FieldSource): string {
  let automatic: number | undefined = 0;
  const argumentOf = (first: string): Value => {
    let key = first;
    if (key === "") {
      if (automatic === undefined) throw numberingError("manual field specification to automatic field numbering");
      key = String(automatic++);
    } else if (/^\d+$/.test(key)) {
      if (automatic !== undefined && automatic > 0) {
        throw numberingError("automatic field numbering to manual field specification");
      }
      automatic = undefined;
    }
    if (/^\d+$/.test(key)) {
      const value = source.values[Number(key)];
      if (value !== undefined) return value;
      throw new PythonError("IndexError", `Replacement index ${key} out of range for positional args tuple`);
    }
    const value = source.named(key);
    if (value !== undefined) return value;
    throw new PythonError("KeyError", repr(key));
  };
  const format = (part: string, depth: number): string => {
    if (depth < 0) throw valueError("Max string recursion exceeded");
    return parts(part)
      .map((piece) => {
        if (typeof piece === "string") return piece;
        let value = accessed(argumentOf, piece.field, source);
        if (piece.conversion === "r") value = repr(value);
        else if (piece.conversion === "s") value = str(value);
        else if (piece.conversion === "a") value = asciiRepr(value);
        else if (piece.conversion !== undefined) throw valueError(`Unknown conversion specifier '${piece.conversion}'`);
        return source.shown(value, formatValue(value, format(piece.specification, depth - 1)));
      })
      .join("");
  };
  return format(text, MAX_DEPTH);
}

function numberingError(change: string): PythonError {
  return valueError(`cannot switch from ${change}`);
}

function accessed(argumentOf: (first: string) => Value, field: string, { attribute, item }: FieldSource): Value {
  const [first] = /^[^.[]*/.exec(field)!;
  let value = argumentOf(first);
  let rest = field.slice(first.length);
  while (rest !== "") {
    const access = /^(?:\.([^.[]+)|\[([^\]]+)\])/.exec(rest);
    if (access === null) throw valueError("Empty attribute in format string");
    const [whole, name, key] = access;
    if (name !== undefined) value = attribute(value, name);
    else value = item(value, /^\d+$/.test(key!) ? Number(key) : key!);
    rest = rest.slice(whole.length);
    if (key !== undefined && rest !== "" && !/^[.[]/.test(rest)) {
      throw valueError("Only '.' or '[' may follow ']' in format field specifier");
    }
  }
  return value;
}

interface Field {
  readonly field: string;
  readonly conversion: string | undefined;
  readonly specification: string;
}

/** Texts and fields in order. @throws ValueError for braces that do not match. */
function parts(text: string): (string | Field)[] {
  const pieces: (string | Field)[] = [];
  let position = 0;
  while (position < text.length) {
    const [plain] = /^(?:[^{}]|\{\{|\}\})*/.exec(text.slice(position))!;
    if (plain !== "") pieces.push(plain.replace(/\{\{|\}\}/g, (pair) => pair[0]!));
    position += plain.length;
    if (position >= text.length) break;
    if (text[position] === "}") throw valueError("Single '}' encountered in format string");
    const end = endOfField(text, position);
    pieces.push(fieldOf(text.slice(position + 1, end)));
    position = end + 1;
  }
  return pieces;
}

function endOfField(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return i;
  }
  throw valueError(
    start === text.length - 1 ? "Single '{' encountered in format string" : "expected '}' before end of string",
  );
}

function fieldOf(text: string): Field {
  const match = /^((?:\[[^\]]*\]?|[^[:!{}])*)(?:!(.)(?=:|$))?(?::(.*))?$/su.exec(text);
  if (match === null) throw valueError("unexpected text in a field of a format string");
  const [, field = "", conversion, specification = ""] = match;
  return { field, conversion, specification };
}
