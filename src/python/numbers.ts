import { PythonError, typeError, valueError } from "./error.js";
import { PythonFloat } from "./float.js";
import { digitValue, strip } from "./text.js";

// Numbers of Python. An int is an integral number, or a bigint beyond 2^53; a float is any other number, or a
// `PythonFloat` where its value is integral.
// https://docs.python.org/3.11/library/stdtypes.html#numeric-types-int-float-complex

export type Int = number | bigint;
export type Float = number | PythonFloat;

/** Python refuses to print longer ints or to read them from text. */
const MAX_INT_DIGITS = 4300;

/** Bits of the longest int that a power may give, some hundred times what any template needs. */
const MAX_POWER_BITS = 1_000_000;

export function isInt(value: unknown): value is Int {
  return typeof value === "number" ? Number.isInteger(value) : typeof value === "bigint";
}

export function isFloat(value: unknown): value is Float {
  return typeof value === "number" ? !Number.isInteger(value) : value instanceof PythonFloat;
}

/** A float of this value. */
export function float(value: number): Float {
  return Number.isInteger(value) ? new PythonFloat(value) : value;
}

/** An int of this value, as a number where that is exact. */
export function int(value: bigint): Int {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** The float of a finite number. @throws OverflowError for an int beyond the range of floats. */
export function toDouble(value: Int | Float): number {
  if (typeof value === "number") return value;
  if (value instanceof PythonFloat) return value.value;
  const double = Number(value);
  if (Number.isFinite(double)) return double;
  throw new PythonError("OverflowError", "int too large to convert to float");
}

/** `int(value)` of a float: its integral part. @throws ValueError or OverflowError if it is not finite. */
export function truncate(value: Float): Int {
  const double = toDouble(value);
  if (Number.isNaN(double)) throw valueError("cannot convert float NaN to integer");
  if (!Number.isFinite(double)) throw new PythonError("OverflowError", "cannot convert float infinity to integer");
  return int(BigInt(Math.trunc(double)));
}

export function intText(value: Int): string {
  const text = typeof value === "number" && !Number.isSafeInteger(value) ? String(BigInt(value)) : String(value);
  if (text.length <= MAX_INT_DIGITS) return text === "-0" ? "0" : text;
  throw valueError(`Exceeds the limit (${MAX_INT_DIGITS} digits) for integer string conversion`);
}

/** `repr(value)`: the shortest digits that give the same float. */
export function floatText(value: Float): string {
  const double = toDouble(value);
  if (Number.isNaN(double)) return "nan";
  if (!Number.isFinite(double)) return double < 0 ? "-inf" : "inf";
  const sign = double < 0 || Object.is(double, -0) ? "-" : "";
  const [mantissa, exponent] = Math.abs(double).toExponential().split("e") as [string, string];
  const digits = mantissa.replace(".", "");
  const point = Number(exponent) + 1;
  if (double !== 0 && (point <= -4 || point > 16)) return `${sign}${scientific(digits, Number(exponent))}`;
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return `${sign}${digits.padEnd(point, "0")}.0`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** `1.5e-07`: the exponent has a sign and two digits at least. */
export function scientific(digits: string, exponent: number): string {
  const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/**
 * A non-negative finite float times 10^places, rounded to an integer: exactly, a tie to the even one. JavaScript's
 * `toFixed` rounds ties up.
 */
export function scaled(value: number, places: number): bigint {
  const [mantissa, exponent] = fraction(value);
  let numerator = mantissa;
  let denominator = 1n;
  if (exponent >= 0) numerator <<= BigInt(exponent);
  else denominator <<= BigInt(-exponent);
  if (places >= 0) numerator *= 10n ** BigInt(places);
  else denominator *= 10n ** BigInt(-places);
  return roundedQuotient(numerator, denominator);
}

/** A non-negative finite float as mantissa · 2^exponent. */
export function fraction(value: number): [mantissa: bigint, exponent: number] {
  let exponent = 0;
  let mantissa = value;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    exponent--;
  }
  return [BigInt(mantissa), exponent];
}

function roundedQuotient(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const rest = 2n * (numerator % denominator);
  return rest > denominator || (rest === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** `round(value, places)`: a tie goes to the even digit. https://docs.python.org/3.11/library/functions.html#round */
export function round(value: Int | Float, places: number): Int | Float {
  if (isInt(value)) {
    if (places >= 0) return value;
    const unit = 10n ** BigInt(-places);
    const size = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
    const rounded = roundedQuotient(size, unit) * unit;
    return int(BigInt(value) < 0n ? -rounded : rounded);
  }
  const double = toDouble(value);
  if (!Number.isFinite(double) || double === 0 || places > 340) return value;
  const text = `${scaled(Math.abs(double), Math.max(places, -340))}e${-Math.max(places, -340)}`;
  const rounded = Number(text);
  if (!Number.isFinite(rounded)) throw new PythonError("OverflowError", "rounded value too large to represent");
  return float(double < 0 || Object.is(double, -0) ? -rounded : rounded);
}

type Arithmetic = (left: Int | Float, right: Int | Float) => Int | Float;

/** An operator that gives an int for two ints, and a float otherwise. */
function arithmetic(ofInts: (a: bigint, b: bigint) => bigint, ofFloats: (a: number, b: number) => number): Arithmetic {
  return (left, right) => {
    if (!isInt(left) || !isInt(right)) return float(ofFloats(toDouble(left), toDouble(right)));
    return int(ofInts(BigInt(left), BigInt(right)));
  };
}

/** `arithmetic`, in numbers alone where operands and result are safe integers. */
function quick(ofNumbers: (a: number, b: number) => number, exact: Arithmetic): Arithmetic {
  return (left, right) => {
    if (Number.isSafeInteger(left) && Number.isSafeInteger(right)) {
      const result = ofNumbers(left as number, right as number);
      if (Number.isSafeInteger(result)) return result === 0 ? 0 : result;
    }
    return exact(left, right);
  };
}

export const add: Arithmetic = quick(
  (a, b) => a + b,
  arithmetic(
    (a, b) => a + b,
    (a, b) => a + b,
  ),
);

export const subtract: Arithmetic = quick(
  (a, b) => a - b,
  arithmetic(
    (a, b) => a - b,
    (a, b) => a - b,
  ),
);

export const multiply: Arithmetic = quick(
  (a, b) => a * b,
  arithmetic(
    (a, b) => a * b,
    (a, b) => a * b,
  ),
);

/** `//`, towards minus infinity. */
export const floorDivide: Arithmetic = arithmetic(
  (a, b) => {
    if (b === 0n) throw new PythonError("ZeroDivisionError", "integer division or modulo by zero");
    const quotient = a / b;
    return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
  },
  (a, b) => {
    if (b === 0) throw new PythonError("ZeroDivisionError", "float floor division by zero");
    const rest = a % b;
    const quotient = (a - rest) / b - (rest !== 0 && rest < 0 !== b < 0 ? 1 : 0);
    const floor = Math.floor(quotient);
    if (quotient === 0) return a / b < 0 || Object.is(a / b, -0) ? -0 : 0;
    return quotient - floor > 0.5 ? floor + 1 : floor;
  },
);

/** `%`: the result has the sign of the divisor. */
export const modulo: Arithmetic = arithmetic((a, b) => {
  if (b === 0n) throw new PythonError("ZeroDivisionError", "integer division or modulo by zero");
  const rest = a % b;
  return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
}, floatModulo);

function floatModulo(a: number, b: number): number {
  if (b === 0) throw new PythonError("ZeroDivisionError", "float modulo");
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

/** `/`, always a float. */
export function divide(left: Int | Float, right: Int | Float): Float {
  if (Number(right) === 0) throw new PythonError("ZeroDivisionError", "division by zero");
  if (!isInt(left) || !isInt(right) || (Number.isSafeInteger(left) && Number.isSafeInteger(right))) {
    return float(toDouble(left) / toDouble(right));
  }
  return float(quotientOfInts(BigInt(left), BigInt(right)));
}

/** The float nearest to the quotient. */
function quotientOfInts(left: bigint, right: bigint): number {
  const numerator = left < 0n ? -left : left;
  const denominator = right < 0n ? -right : right;
  const bits = (value: bigint): number => value.toString(2).length;
  // 66 bits or more of quotient, so that a bit that stands for the rest decides ties alone.
  const shift = Math.max(0, 66 - bits(numerator) + bits(denominator));
  const shifted = numerator << BigInt(shift);
  const rest = shifted % denominator === 0n ? 0n : 1n;
  const quotient = Number((shifted / denominator) | rest) / 2 ** Math.min(shift, 1000) / 2 ** Math.max(0, shift - 1000);
  if (!Number.isFinite(quotient)) {
    throw new PythonError("OverflowError", "integer division result too large for a float");
  }
  return left < 0n !== right < 0n ? -quotient : quotient;
}

/** `**`. @throws ValueError where Python would give a complex number. */
export function power(left: Int | Float, right: Int | Float): Int | Float {
  if (isInt(left) && isInt(right) && right >= 0) {
    const base = BigInt(left);
    if (base * base > 1n && BigInt(base.toString(2).length) * BigInt(right) > MAX_POWER_BITS) {
      throw new PythonError("MemoryError", `a power has more than ${MAX_POWER_BITS} bits`);
    }
    return int(base ** BigInt(right));
  }
  const [base, exponent] = [toDouble(left), toDouble(right)];
  if (base === 0 && exponent < 0) {
    throw new PythonError("ZeroDivisionError", "0.0 cannot be raised to a negative power");
  }
  if (base < 0 && Number.isFinite(base) && Number.isFinite(exponent) && !Number.isInteger(exponent)) {
    throw valueError("the power of a negative number is complex, which templates cannot use here");
  }
  if (base === 1 || (base === -1 && !Number.isFinite(exponent) && !Number.isNaN(exponent))) return float(1);
  const result = Number.isInteger(exponent) ? wholePower(base, exponent) : base ** exponent;
  if (!Number.isFinite(result) && Number.isFinite(base) && Number.isFinite(exponent)) {
    throw new PythonError("OverflowError", "Numerical result out of range");
  }
  return float(result);
}

/** Longest exponents for which a power is computed exactly, since `Math.pow` is off by an ulp now and then. */
const MAX_EXACT_EXPONENT = 64;

function wholePower(base: number, exponent: number): number {
  if (base === 0 || !Number.isFinite(base) || Math.abs(exponent) > MAX_EXACT_EXPONENT) return base ** exponent;
  const [mantissa, twos] = fraction(Math.abs(base));
  const numerator = mantissa ** BigInt(Math.abs(exponent));
  const denominator = 1n << BigInt(-twos * Math.abs(exponent));
  const [left, right] = exponent < 0 ? [denominator, numerator] : [numerator, denominator];
  return quotientOfInts(base < 0 && exponent % 2 !== 0 ? -left : left, right);
}

export function negate(value: Int | Float): Int | Float {
  if (typeof value === "bigint") return int(-value);
  if (value instanceof PythonFloat) return new PythonFloat(-value.value);
  return value === 0 ? 0 : -value;
}

const INT_PREFIXES: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16 };

/** `int(text, base)`. https://docs.python.org/3.11/library/functions.html#int */
export function parseInteger(text: string, base: number): Int {
  const fail = (): never => {
    throw valueError(`invalid literal for int() with base ${base}`);
  };
  if (base !== 0 && (base < 2 || base > 36)) throw valueError("int() base must be >= 2 and <= 36, or 0");
  let digits = asciiDigits(strip(text)).toLowerCase();
  const sign = /^[+-]/.exec(digits)?.[0] ?? "";
  digits = digits.slice(sign.length);
  let radix = base;
  const prefix = /^0([box])_?/.exec(digits);
  if (prefix !== null && (base === 0 || INT_PREFIXES[prefix[1]!] === base)) {
    radix = INT_PREFIXES[prefix[1]!]!;
    digits = digits.slice(prefix[0].length);
  } else if (base === 0) {
    if (/^0[\d_]*[1-9]/.test(digits)) fail();
    radix = 10;
  }
  if (!/^[\da-z]+(_[\da-z]+)*$/.test(digits)) fail();
  digits = digits.replaceAll("_", "");
  if (digits.length > MAX_INT_DIGITS && (radix & (radix - 1)) !== 0) fail();
  let value = 0n;
  for (const char of digits) {
    const digit = Number.parseInt(char, 36);
    if (digit >= radix) fail();
    value = value * BigInt(radix) + BigInt(digit);
  }
  return int(sign === "-" ? -value : value);
}

/** `float(text)`. https://docs.python.org/3.11/library/functions.html#float */
export function parseFloatText(text: string): Float {
  const trimmed = asciiDigits(strip(text));
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(trimmed);
  if (special !== null) {
    if (special[2]!.toLowerCase() === "nan") return Number.NaN;
    return special[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if (!/^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i.test(trimmed)) {
    throw valueError(`could not convert string to float`);
  }
  return float(Number(trimmed.replaceAll("_", "")));
}

/** A text with the decimal digits of all scripts as 0 to 9. */
function asciiDigits(text: string): string {
  return text.replace(/\p{Nd}/gu, (digit) => String(digitValue(digit)));
}

/** An index, width or count. @throws TypeError unless it is an int. */
export function toIndex(value: unknown, typeName: string): number {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (!isInt(value)) throw typeError(`'${typeName}' object cannot be interpreted as an integer`);
  // Beyond what any text or list has, the exact value does not matter.
  return typeof value === "bigint" ? (value < 0n ? -Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER) : value;
}
