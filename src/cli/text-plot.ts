import { largest, smallest } from "../base/numbers.js";

const ROWS = 15;
const BRAILLE_BASE = 0x2800;
/** Bits of the dots of a Braille character, by row and column. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

/** Options of {@link plotText}. */
export interface TextPlotOptions {
  readonly columns: number;
  readonly formatValue: (value: number) => string;
}

/**
 * A curve as lines of text of at most `columns` columns, from 0 to its largest value, drawn with Braille dots: each
 * character is two points wide and four high. The axis counts the values from 1.
 */
export function plotText(values: readonly number[], { columns, formatValue }: TextPlotOptions): string[] {
  const top = largest(values.filter(Number.isFinite), 0) || 1;
  const labels = [top, top / 2, 0].map(formatValue);
  const labelColumns = largest(labels.map((label) => label.length));
  const width = columns - labelColumns - 2;
  const cells = Array.from({ length: ROWS }, () => new Uint8Array(width));
  const heightOf = (value: number): number => Math.round((value / top) * (ROWS * 4 - 1));
  for (let x = 0; x < width * 2; x++) {
    // Each column of dots spans the lowest to the highest of its steps, so that a short drop shows at any length.
    const begin = Math.floor((x * values.length) / (width * 2));
    const end = Math.max(begin + 1, Math.floor(((x + 1) * values.length) / (width * 2)));
    const span = values.slice(begin, end).map(heightOf);
    for (let y = smallest(span); y <= largest(span); y++) {
      const row = ROWS * 4 - 1 - y;
      cells[row >> 2]![x >> 1]! |= DOTS[row & 3]![x & 1]!;
    }
  }
  const lines = cells.map((row, index) => {
    const label = index === 0 ? labels[0] : index === ROWS >> 1 ? labels[1] : index === ROWS - 1 ? labels[2] : "";
    const curve = [...row].map((bits) => (bits === 0 ? " " : String.fromCodePoint(BRAILLE_BASE + bits))).join("");
    return `${label!.padStart(labelColumns)} │${curve}`.trimEnd();
  });
  const last = String(values.length);
  const axis = `${" ".repeat(labelColumns)} └${"─".repeat(width)}`;
  const steps = `${" ".repeat(labelColumns + 2)}1${last.padStart(width - 1)}`;
  return [...lines, axis, steps];
}
