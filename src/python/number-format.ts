import { type Float, type Int, isInt, scaled, scientific, toDouble } from "./numbers.js";

// Digits of floats in a given notation, for `%` formatting and for `format`.

export type FloatNotation = "e" | "f" | "g";

interface FloatFormat {
  readonly notation: FloatNotation;
  readonly precision: number;
  /** `#`: a point and the zeros behind it stay. */
  readonly alternate?: boolean;
  /** For `format` without notation: `g` that shows a digit behind the point. */
  readonly isFloatShown?: boolean;
}

/** The absolute value of a number in the notation, exactly rounded, a tie to the even digit. */
export function floatDigits(value: Int | Float, { notation, precision, ...rest }: FloatFormat): string {
  const double = Math.abs(toDouble(value));
  if (Number.isNaN(double)) return "nan";
  if (!Number.isFinite(double)) return "inf";
  const { alternate = false, isFloatShown = false } = rest;
  if (notation === "f") return fixed(double, precision) + (alternate && precision === 0 ? "." : "");
  if (notation === "e") {
    const [digits, exponent] = significant(double, precision + 1);
    const point = alternate && precision === 0 ? `${digits}.` : undefined;
    return point === undefined ? scientific(digits, exponent) : scientific(point, exponent).replace("..", ".");
  }
  const places = Math.max(1, precision);
  const [digits, exponent] = significant(double, places);
  const kept = alternate ? digits : digits.replace(/0+$/, "") || "0";
  if (exponent < -4 || exponent >= places - (isFloatShown ? 1 : 0)) return scientific(kept, exponent);
  const text = fixed(double, Math.max(0, places - 1 - exponent));
  if (alternate) return text.includes(".") ? text : `${text}.`;
  const short = text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  return isFloatShown && !short.includes(".") ? `${short}.0` : short;
}

function fixed(value: number, precision: number): string {
  const digits = scaled(value, precision)
    .toString()
    .padStart(precision + 1, "0");
  return precision === 0 ? digits : `${digits.slice(0, -precision)}.${digits.slice(-precision)}`;
}

/** The first digits of a number and the exponent of the first of them. */
function significant(value: number, count: number): [digits: string, exponent: number] {
  if (value === 0) return ["0".repeat(count), 0];
  let exponent = Number(value.toExponential().split("e")[1]);
  let digits = scaled(value, count - 1 - exponent).toString();
  if (digits.length > count) {
    // 9.99 has become 10.0.
    exponent++;
    digits = scaled(value, count - 1 - exponent).toString();
  }
  return [digits, exponent];
}

/** Digits of an int in a base, without sign. */
export function intDigits(value: Int, base: 2 | 8 | 10 | 16): string {
  const size = BigInt(value);
  return (size < 0n ? -size : size).toString(base);
}

export function isNegative(value: Int | Float): boolean {
  return isInt(value) ? value < 0 : toDouble(value) < 0 || Object.is(toDouble(value), -0);
}
