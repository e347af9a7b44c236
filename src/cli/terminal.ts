import { randomUUID } from "node:crypto";

/** The part of a Node write stream that the command line prints to. */
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
  on?(event: "error", listener: (error: Error) => void): unknown;
}

/** Wraps text in a style, or returns it unchanged if colours are off. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  red(text: string): string;
  cyan(text: string): string;
}

/** Stands around control sequences of our own. No text of a stranger can have it. */
const OWN = `<${randomUUID()}>`;

const own = (sequence: string): string => OWN + sequence + OWN;

/** Empties the line that the cursor is in. */
export const ERASE_LINE: string = own("\r\u001b[K");

/** The text as it may reach a terminal: of what would drive one, our own sequences remain, and others become text. */
export function shownText(text: string): string {
  return text
    .split(OWN)
    .map((part, index) => (index % 2 === 1 ? part : part.replace(/[\p{Cc}\p{Bidi_Control}]/gu, escaped)))
    .join("");
}

function escaped(character: string): string {
  if (character === "\n" || character === "\t") return character;
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

const plain = (text: string): string => text;
const sgr = (code: number) => (text: string) => own(`\u001b[${code}m`) + text + own("\u001b[0m");

const COLORS: Style = { bold: sgr(1), dim: sgr(2), green: sgr(32), yellow: sgr(33), red: sgr(31), cyan: sgr(36) };
const NO_COLORS: Style = { bold: plain, dim: plain, green: plain, yellow: plain, red: plain, cyan: plain };

/** Environment variables that say what a terminal can do. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** True if a line can be redrawn: the terminal understands control sequences. */
export function isInteractive(terminal: Terminal, env: Environment): boolean {
  return terminal.isTTY === true && env.TERM !== "dumb";
}

/** Colours for an interactive terminal, unless NO_COLOR (no-color.org) is set to anything but the empty string. */
export function styleFor(terminal: Terminal, env: Environment): Style {
  const refused = env.NO_COLOR !== undefined && env.NO_COLOR !== "";
  return isInteractive(terminal, env) && !refused ? COLORS : NO_COLORS;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const ZERO_WIDTH = /\p{Mark}|\p{Format}/u;

/** Columns that one code point takes on a terminal. */
function columnsOf(character: string): number {
  if (ZERO_WIDTH.test(character)) return 0;
  return WIDE.test(character) || character.codePointAt(0)! >= 0x20000 ? 2 : 1;
}

/** Columns that a text without control characters takes on a terminal. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

/** Text of unknown origin on one line: whitespace becomes single spaces, control and bidirectional marks become `·`. */
export function singleLine(text: string): string {
  return text
    .replace(/\s+/gu, " ")
    .replace(/[\p{Control}\p{Format}\p{Surrogate}]/gu, "·")
    .trim();
}

/** The text cut to at most `columns` columns, with `…` at the end if something is missing. */
export function cutToWidth(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  let kept = "";
  let width = 1;
  for (const character of text) {
    width += columnsOf(character);
    if (width > columns) break;
    kept += character;
  }
  return `${kept.trimEnd()}…`;
}

/**
 * Pieces of text in lines of at most `columns` columns, counting a gap of `gap` columns between two pieces of a line. A
 * wider piece gets a line of its own.
 */
export function fillLines(pieces: readonly string[], gap: number, columns: number): string[][] {
  const lines: string[][] = [];
  let width = Number.POSITIVE_INFINITY;
  for (const piece of pieces) {
    width += gap + textWidth(piece);
    if (width <= columns) {
      lines.at(-1)!.push(piece);
    } else {
      lines.push([piece]);
      width = textWidth(piece);
    }
  }
  return lines;
}
