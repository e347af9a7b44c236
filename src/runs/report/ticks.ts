import type { Chart } from "./chart.js";

// Numbers beside charts. It runs in the page.

type Format = (value: number) => string;

/** A count in a few characters: `12.3K`. */
const short: Format = (value) => {
  const size = Math.abs(value);
  const [unit, name] = size >= 1e9 ? [1e9, "B"] : size >= 1e6 ? [1e6, "M"] : size >= 1e3 ? [1e3, "K"] : [1, ""];
  return name === "" ? String(Number(value.toPrecision(4))) : `${Number((value / unit).toPrecision(3))}${name}`;
};

const change: Format = (value) => {
  const rounded = Number(value.toPrecision(3));
  const isSmall = value !== 0 && Math.abs(value) < 1e-3;
  return `${value > 0 ? "+" : ""}${isSmall ? rounded.toExponential() : rounded}`;
};

const share: Format = (value) => `${Number((100 * value).toPrecision(4))}%`;

/** A value that is pointed at. */
export const FORMATS: Readonly<Record<Chart["format"], Format>> = {
  loss: (value) => value.toFixed(4),
  rate: (value) => (value === 0 ? "0" : value.toExponential(2)),
  count: short,
  number: (value) => String(Number(value.toPrecision(4))),
  share,
  change,
};

const TICKS: Readonly<Record<Chart["format"], Format>> = {
  loss: (value) => String(Number(value.toPrecision(3))),
  rate: (value) => (value === 0 ? "0" : value.toExponential(0)),
  count: short,
  number: short,
  share,
  change,
};

/** The numbers at an axis of values. */
export function valueTicks(values: readonly number[], format: Chart["format"], logarithmic: boolean): string[] {
  if (logarithmic) return values.map(factorTick);
  if (format !== "rate") return values.map(TICKS[format]);
  // One digit is enough for ticks that are whole multiples of a power of ten; others need two.
  const isShort = (value: number): boolean =>
    value === 0 || Math.abs(Number(value.toExponential(0)) / value - 1) < 1e-6;
  const digits = values.every(isShort) ? 0 : 1;
  return values.map((value) => (value === 0 ? "0" : value.toExponential(digits)));
}

function factorTick(value: number): string {
  return value < 9e-3 || value > 2e3 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

const MOST_FACTOR_TICKS = 7;
/** Ticks of a decade, from many to few. */
const DECADES: readonly (readonly number[])[] = [
  [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9],
  [1, 1.5, 2, 3, 4, 5, 6, 8],
  [1, 2, 3, 5, 7],
  [1, 2, 5],
  [1, 3],
  [1],
];

/** Ticks of a logarithmic axis: as many as there is room for, at powers of ten alone where it has many of those. */
export function factorTicks(low: number, high: number): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.floor(Math.log10(high) + 1e-9)];
  const decades = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const inside = (value: number): boolean => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
  // Powers, or parts of them, are too far apart where values differ by little.
  if (high / low < 1.5) return evenTicks(low, high);
  let ticks: number[] = [];
  for (const digits of DECADES) {
    ticks = decades
      .flatMap((decade) => digits.map((digit) => Number((digit * 10 ** decade).toPrecision(12))))
      .filter(inside);
    if (ticks.length <= MOST_FACTOR_TICKS) return ticks;
  }
  const by = Math.ceil(ticks.length / MOST_FACTOR_TICKS);
  return ticks.filter((_, index) => (ticks.length - 1 - index) % by === 0);
}

function evenTicks(low: number, high: number): number[] {
  const rough = (high - low) / (MOST_FACTOR_TICKS - 2);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((digit) => digit * power >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.max(0, Math.floor(high / step + 1e-9) - first + 1);
  return Array.from({ length: count }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** A place on the horizontal axis: a count, or a time as `1:05:00` or `0:07`. */
export function placeText(place: number, along: Chart["along"]): string {
  return along === "time" ? clock(place) : short(place);
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const pad = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/** Steps between ticks of the horizontal axis that read well. */
export function placeSteps(along: Chart["along"]): number[] {
  const times = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200];
  if (along === "time") return [...times, ...[1, 2, 5, 10, 20].map((days) => days * 86_400)];
  const digits = [1, 2, 2.5, 5];
  return Array.from({ length: 13 }, (_, power) => digits.map((digit) => digit * 10 ** power))
    .flat()
    .filter(Number.isInteger);
}
