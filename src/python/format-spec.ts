import { typeError, valueError } from "./error.js";
import { floatDigits, intDigits, isNegative } from "./number-format.js";
import { type Float, float, floatText, type Int, isInt, multiply, toDouble } from "./numbers.js";
import { lengthOf, substring } from "./text.js";
import { charactersOf, isText, numeric, str, typeName, type Value } from "./values.js";

/** `format(value, specification)`: https://docs.python.org/3.11/library/string.html#formatspec */

const SPECIFICATION = /^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?(.)?$/su;

/** Characters of a field in the longest format; wider ones would only fill the memory. */
const MAX_WIDTH = 1_000_000;

interface Specification {
  readonly fill: string;
  readonly align: string | undefined;
  readonly sign: string | undefined;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string | undefined;
  readonly precision: number | undefined;
  readonly type: string | undefined;
}

export function formatValue(value: Value, specification: string): string {
  if (specification === "") return str(value);
  const number = numeric(value);
  if (number === undefined && !isText(value)) {
    throw typeError(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const parsed = parse(specification, isText(value));
  if (isText(value)) return formatText(charactersOf(value), parsed);
  return isInt(number) && !"eEfFgG%".includes(parsed.type ?? "?")
    ? formatInt(number, parsed)
    : formatFloat(number!, parsed);
}

function parse(specification: string, isForText: boolean): Specification {
  const match = SPECIFICATION.exec(specification);
  if (match === null) throw valueError(`Invalid format specifier '${specification}'`);
  const [, fill, align, sign, , alternate, zero, width, grouping, precision, type] = match;
  if (Number(width ?? 0) > MAX_WIDTH || Number(precision ?? 0) > MAX_WIDTH) throw valueError("the format is too wide");
  const isPadded = zero !== undefined && align === undefined && fill === undefined;
  return {
    fill: fill ?? (zero === undefined ? " " : "0"),
    align: align ?? (isPadded && !isForText ? "=" : undefined),
    sign,
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
}

function formatText(
  text: string,
  { type, align, sign, alternate, grouping, precision, ...rest }: Specification,
): string {
  if (type !== undefined && type !== "s") throw valueError(`Unknown format code '${type}' for object of type 'str'`);
  if (sign !== undefined) throw valueError("Sign not allowed in string format specifier");
  if (alternate) throw valueError("Alternate form (#) not allowed in string format specifier");
  if (align === "=") throw valueError("'=' alignment not allowed in string format specifier");
  if (grouping !== undefined) throw valueError(`Cannot specify '${grouping}' with 's'.`);
  const shown = precision === undefined ? text : substring(text, 0, precision);
  return aligned("", shown, align ?? "<", rest.fill, rest.width);
}

function formatInt(value: Int, spec: Specification): string {
  const type = spec.type ?? "d";
  if (spec.precision !== undefined) throw valueError("Precision not allowed in integer format specifier");
  if (type === "c") {
    if (spec.sign !== undefined) throw valueError("Sign not allowed with integer format specifier 'c'");
    return aligned("", String.fromCodePoint(Number(value)), spec.align ?? ">", spec.fill, spec.width);
  }
  const base = ({ b: 2, o: 8, x: 16, X: 16, d: 10, n: 10 } as const)[type as "b"] as 2 | 8 | 10 | 16 | undefined;
  if (base === undefined) throw valueError(`Unknown format code '${type}' for object of type 'int'`);
  if (spec.grouping !== undefined && (type === "n" || (spec.grouping === "," && base !== 10))) {
    throw valueError(`Cannot specify '${spec.grouping}' with '${type}'.`);
  }
  const digits = type === "X" ? intDigits(value, base).toUpperCase() : intDigits(value, base);
  const prefix = spec.alternate && base !== 10 ? `0${type}` : "";
  return number(signOf(value, spec) + prefix, digits, "", spec, base === 10 ? 3 : 4);
}

function formatFloat(given: Int | Float, spec: Specification): string {
  const value = float(toDouble(given));
  const type = spec.type ?? "";
  if (!["", "e", "E", "f", "F", "g", "G", "n", "%"].includes(type)) {
    throw valueError(`Unknown format code '${type}' for object of type 'float'`);
  }
  if (type === "n" && spec.grouping !== undefined) throw valueError(`Cannot specify '${spec.grouping}' with 'n'.`);
  const { alternate } = spec;
  let text: string;
  if (type === "%") {
    const hundredfold = multiply(value, 100);
    text = `${floatDigits(hundredfold, { notation: "f", precision: spec.precision ?? 6, alternate })}%`;
  } else if (type === "" && spec.precision === undefined) text = floatText(value).replace(/^-/, "");
  else if (type === "")
    text = floatDigits(value, { notation: "g", precision: spec.precision!, alternate, isFloatShown: true });
  else {
    const notation = type === "n" ? "g" : (type.toLowerCase() as "e" | "f" | "g");
    text = floatDigits(value, { notation, precision: spec.precision ?? 6, alternate });
  }
  const [, digits = "", rest = ""] = /^(\d*)(.*)$/s.exec(text)!;
  const isUpper = type !== "" && type === type.toUpperCase() && type !== "%";
  return number(signOf(value, spec), digits, isUpper ? rest.toUpperCase() : rest, spec, 3);
}

function signOf(value: Int | Float, { sign }: Specification): string {
  if (isNegative(value)) return "-";
  return sign === "+" || sign === " " ? sign : "";
}

function number(sign: string, digits: string, rest: string, spec: Specification, groupSize: number): string {
  const align = spec.align ?? ">";
  let whole = digits;
  if (spec.grouping !== undefined) {
    // Zeros that fill the field are grouped too.
    const wanted = align === "=" && spec.fill === "0" ? spec.width - sign.length - rest.length : 0;
    whole = grouped(digits, spec.grouping, groupSize);
    for (let filled = digits; whole.length < wanted; whole = grouped(filled, spec.grouping, groupSize))
      filled = `0${filled}`;
  }
  return aligned(sign, whole + rest, align, spec.fill, spec.width);
}

function grouped(digits: string, separator: string, size: number): string {
  const groups: string[] = [];
  for (let end = digits.length; end > 0; end -= size) groups.unshift(digits.slice(Math.max(0, end - size), end));
  return groups.join(separator);
}

function aligned(sign: string, text: string, align: string, fill: string, width: number): string {
  const missing = Math.max(0, width - sign.length - lengthOf(text));
  if (align === "=") return sign + fill.repeat(missing) + text;
  const before = align === "<" ? 0 : align === "^" ? Math.floor(missing / 2) : missing;
  return fill.repeat(before) + sign + text + fill.repeat(missing - before);
}
