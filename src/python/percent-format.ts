import { PythonError, typeError, valueError } from "./error.js";
import { escapeHtml } from "./html.js";
import { floatDigits, intDigits, isNegative } from "./number-format.js";
import { type Float, type Int, isInt, toIndex, truncate } from "./numbers.js";
import { Range } from "./objects.js";
import { codePointEscape, lengthOf, substring } from "./text.js";
import { Dict, isText, List, Markup, numeric, repr, str, Tuple, typeName, Undefined, type Value } from "./values.js";

/** Characters of a field in the longest format; wider ones would only fill the memory. */
const MAX_WIDTH = 1_000_000;

const FIELD = /%(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\))?([-+ #0]*)(\*|\d*)(?:\.(\*|\d*))?[hlL]?(.?)/gsu;

/**
 * `text % values`. A text that is safe in HTML escapes what is put into it.
 * https://docs.python.org/3.11/library/stdtypes.html#printf-style-string-formatting
 */
export function percentFormat(format: string | Markup, values: Value): Value {
  const text = typeof format === "string" ? format : format.value;
  const given = values instanceof Tuple ? values.items : [values];
  // Python counts lists, dicts and the like as mappings, of which nothing need be used.
  const isMapping =
    values instanceof Dict || values instanceof List || values instanceof Range || values instanceof Undefined;
  let used = 0;
  const next = (): Value => {
    const value = given[used++];
    if (value === undefined) throw typeError("not enough arguments for format string");
    return value;
  };
  const count = (written: string | undefined): number | undefined => {
    if (written === undefined) return undefined;
    const star = written === "*" ? next() : undefined;
    if (star !== undefined && !isInt(star) && typeof star !== "boolean") throw typeError("* wants int");
    const width = star === undefined ? Number(written || 0) : toIndex(star, typeName(star));
    if (Math.abs(width) > MAX_WIDTH) throw valueError("width too big");
    return width;
  };
  const shown = (value: Value): string =>
    typeof format === "string" || value instanceof Markup ? str(value) : escapeHtml(str(value));
  const result = text.replace(
    FIELD,
    (field, key: string | undefined, flags: string, width: string, precision: string | undefined, type: string) => {
      if (field === "%%") return "%";
      if (key !== undefined && !isMapping) throw typeError("format requires a mapping");
      const keyed = key === undefined ? undefined : itemNamed(values, key);
      const columns = count(width || undefined);
      const places = count(precision);
      if (type === "") throw valueError("incomplete format");
      if (type === "%") return "%";
      const value = keyed === undefined ? next() : keyed;
      const body = converted(value, type, flags, places, shown);
      const isLeft = flags.includes("-") || (columns ?? 0) < 0;
      return padded(body, Math.abs(columns ?? 0), isLeft, flags.includes("0") && !"srac".includes(type));
    },
  );
  if (used < given.length && !isMapping && (values instanceof Tuple || used === 0)) {
    throw typeError("not all arguments converted during string formatting");
  }
  return typeof format === "string" ? result : new Markup(result);
}

function itemNamed(values: Value, key: string): Value {
  if (values instanceof Undefined) values.fail();
  if (values instanceof Dict) return values.item(key);
  throw typeError(`${typeName(values)} indices must be integers or slices, not str`);
}

/** Sign or prefix, and what stands behind it. */
type Converted = readonly [sign: string, digits: string];

function converted(
  value: Value,
  type: string,
  flags: string,
  places: number | undefined,
  shown: (value: Value) => string,
): Converted {
  if (type === "s" || type === "r" || type === "a") {
    const text = type === "s" ? shown(value) : type === "r" ? repr(value) : asciiRepr(value);
    return ["", places === undefined ? text : substring(text, 0, places)];
  }
  if (type === "c") return ["", characterOf(value)];
  const number = numeric(value);
  const isReal = "eEfFgG".includes(type);
  if (!isReal && !"diuxXo".includes(type)) throw valueError(`unsupported format character '${type}'`);
  if (number === undefined) {
    if (isReal && value instanceof Undefined) value.fail();
    throw typeError(isReal ? `must be real number, not ${typeName(value)}` : `%${type} format: a number is required`);
  }
  const sign = (negative: boolean): string =>
    negative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const isUpper = type !== type.toLowerCase();
  if (isReal) {
    const notation = type.toLowerCase() as "e" | "f" | "g";
    const digits = floatDigits(number, { notation, precision: places ?? 6, alternate: flags.includes("#") });
    return [sign(isNegative(number)), isUpper ? digits.toUpperCase() : digits];
  }
  const whole = wholeOf(number, type);
  const base = type === "o" ? 8 : "xX".includes(type) ? 16 : 10;
  const digits = intDigits(whole, base).padStart(places ?? 0, "0");
  const prefix = flags.includes("#") && base !== 10 ? `0${type}` : "";
  return [sign(whole < 0) + prefix, isUpper ? digits.toUpperCase() : digits];
}

function wholeOf(number: Int | Float, type: string): Int {
  if (isInt(number)) return number;
  if ("diu".includes(type)) return truncate(number);
  throw typeError(`%${type} format: an integer is required, not float`);
}

function characterOf(value: Value): string {
  if (isText(value) && lengthOf(str(value)) === 1) return str(value);
  const code = numeric(value);
  if (code === undefined || !isInt(code)) throw typeError("%c requires int or char");
  if (code >= 0 && code <= 0x10ffff) return String.fromCodePoint(Number(code));
  throw new PythonError("OverflowError", "%c arg not in range(0x110000)");
}

/** `ascii(value)`. */
export function asciiRepr(value: Value): string {
  return repr(value).replace(/\P{ASCII}/gu, codePointEscape);
}

function padded([sign, digits]: Converted, width: number, isLeft: boolean, isZero: boolean): string {
  const missing = Math.max(0, width - sign.length - lengthOf(digits));
  if (isLeft) return sign + digits + " ".repeat(missing);
  return isZero ? sign + "0".repeat(missing) + digits : " ".repeat(missing) + sign + digits;
}
