import { PythonError, valueError } from "../python/error.js";
import { escapeHtml } from "../python/html.js";
import { floatDigits } from "../python/number-format.js";
import { toDouble } from "../python/numbers.js";
import { ALPHANUMERIC, lengthOf, SPACE, splitLines, strip, substring, unitsBefore } from "../python/text.js";

// Filters that make one text of another: https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters

const WORD_BEGINNING = new RegExp(`([-${SPACE}({\\[<]+)`);

/** `title`: unlike Python's own, words begin behind spaces, hyphens and brackets alone. */
export function titleWords(text: string): string {
  return text
    .split(WORD_BEGINNING)
    .map((part) => {
      const [first = ""] = Array.from(part.slice(0, 2));
      return first.toUpperCase() + part.slice(first.length).toLowerCase();
    })
    .join("");
}

export function indented(text: string, unit: string, first: boolean, blank: boolean): string {
  const lines = splitLines(`${text}\n`);
  const rest = lines.slice(1).map((line) => (blank || line !== "" ? unit + line : line));
  return (first ? unit : "") + [lines[0] ?? "", ...rest].join("\n");
}

export function truncated(text: string, length: number, killWords: boolean, end: string, leeway: number): string {
  const kept = length - lengthOf(end);
  if (kept < 0) throw new PythonError("AssertionError", `expected length >= ${lengthOf(end)}, got ${length}`);
  if (leeway < 0) throw new PythonError("AssertionError", `expected leeway >= 0, got ${leeway}`);
  if (lengthOf(text) <= length + leeway) return text;
  const cut = substring(text, 0, kept);
  if (killWords) return cut + end;
  const space = cut.lastIndexOf(" ");
  return (space < 0 ? cut : cut.slice(0, space)) + end;
}

const WORD = new RegExp(`[${ALPHANUMERIC}_]+`, "gu");

export function wordCount(text: string): number {
  return text.match(WORD)?.length ?? 0;
}

export function fileSize(bytes: number, binary: boolean): string {
  const base = binary ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) {
    if (!Number.isFinite(bytes)) throw new PythonError("OverflowError", "cannot convert float infinity to integer");
    return `${BigInt(Math.trunc(bytes))} Bytes`;
  }
  const units = [..."kMGTPEZY"].map((letter) => (binary ? `${letter.toUpperCase()}iB` : `${letter}B`));
  const fitting = units.findIndex((_, index) => bytes < base ** (index + 2));
  const index = fitting < 0 ? units.length - 1 : fitting;
  const size = (base * bytes) / base ** (index + 2);
  const sign = size < 0 ? "-" : "";
  return `${sign}${floatDigits(toDouble(size), { notation: "f", precision: 1 })} ${units[index]}`;
}

/** `urllib.parse.quote`. */
export function urlQuoted(text: string, isForQuery: boolean): string {
  const bytes = new TextEncoder().encode(text);
  const quoted = Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    if (/[\w.~-]/.test(char) || (char === "/" && !isForQuery)) return char;
    return char === " " && isForQuery ? "+" : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  });
  return quoted.join("");
}

// Where `textwrap` may break a line: https://docs.python.org/3.11/library/textwrap.html
const WRAP_SPACE = "\\t\\n\\v\\f\\r ";
const WORD_PUNCTUATION = `[${ALPHANUMERIC}_!"'&.,?]`;
const LETTER = "[\\p{L}_]";
const WRAP_CHUNKS = new RegExp(
  `([${WRAP_SPACE}]+` +
    `|(?<=${WORD_PUNCTUATION})-{2,}(?=[${ALPHANUMERIC}_])` +
    `|[^${WRAP_SPACE}]+?(?:-(?:(?<=${LETTER}{2}-)|(?<=${LETTER}-${LETTER}-))(?=${LETTER}-?${LETTER})` +
    `|(?=[${WRAP_SPACE}]|$)|(?<=${WORD_PUNCTUATION})(?=-{2,}[${ALPHANUMERIC}_])))`,
  "u",
);
const SIMPLE_CHUNKS = new RegExp(`([${WRAP_SPACE}]+)`);

interface WrapOptions {
  readonly width: number;
  readonly breaksLongWords: boolean;
  readonly breaksOnHyphens: boolean;
}

/** `textwrap.wrap` of each line, joined by `separator`. */
export function wordWrapped(text: string, separator: string, options: WrapOptions): string {
  return splitLines(text)
    .map((line) => wrapped(line, options).join(separator))
    .join(separator);
}

function wrapped(text: string, { width, breaksLongWords, breaksOnHyphens }: WrapOptions): string[] {
  if (width <= 0) throw valueError(`invalid width ${width} (must be > 0)`);
  const chunks = text.split(breaksOnHyphens ? WRAP_CHUNKS : SIMPLE_CHUNKS).filter((chunk) => chunk !== "");
  const lines: string[] = [];
  while (chunks.length > 0) {
    const line: string[] = [];
    let taken = 0;
    if (lines.length > 0 && strip(chunks[0]!) === "") chunks.shift();
    while (chunks.length > 0 && taken + lengthOf(chunks[0]!) <= width) {
      taken += lengthOf(chunks[0]!);
      line.push(chunks.shift()!);
    }
    if (chunks.length > 0 && lengthOf(chunks[0]!) > width) {
      const [chunk] = chunks as [string];
      const space = width - taken;
      if (breaksLongWords) {
        let end = unitsBefore(chunk, space);
        const hyphen = substring(chunk, 0, space).lastIndexOf("-");
        const isBreak = breaksOnHyphens && lengthOf(chunk) > space && hyphen > 0;
        if (isBreak && /[^-]/.test(chunk.slice(0, hyphen))) end = hyphen + 1;
        line.push(chunk.slice(0, end));
        chunks[0] = chunk.slice(end);
      } else if (line.length === 0) line.push(chunks.shift()!);
    }
    if (line.length > 0 && strip(line.at(-1)!) === "") line.pop();
    if (line.length > 0) lines.push(line.join(""));
  }
  return lines;
}

const W = `[${ALPHANUMERIC}_]`;
const WEB_ADDRESS = new RegExp(
  `^(?:(?:https?://|www\\.)(?:(?:[${ALPHANUMERIC}_%-]+\\.)+)?(?:[a-z]{2,63}|xn--[${ALPHANUMERIC}_%]{2,59})` +
    `|(?:[${ALPHANUMERIC}_%-]{2,63}\\.)+(?:com|net|int|edu|gov|org|info|mil)` +
    "|https?://(?:\\p{Nd}{1,3}(?:\\.\\p{Nd}{1,3}){3}|\\[(?:[\\p{Nd}a-f]{0,4}:){2}(?:[\\p{Nd}a-f]{0,4}:?){1,6}\\]))" +
    `(?::\\p{Nd}{1,5})?(?:[/?#][^${SPACE}]*)?\\n?$`,
  "iu",
);
const MAIL_ADDRESS = new RegExp(`^[^${SPACE}]+@${W}[${ALPHANUMERIC}_.-]*\\.${W}+\\n?$`, "u");
const WHITE_SPACE = new RegExp(`([${SPACE}]+)`);

interface LinkOptions {
  readonly limit: number | undefined;
  readonly relation: string;
  readonly target: string | undefined;
  readonly schemes: readonly string[];
}

/** `urlize`: addresses in the text, which is HTML, become links. */
export function withLinks(text: string, { limit, relation, target, schemes }: LinkOptions): string {
  const attributes =
    (relation === "" ? "" : ` rel="${escapeHtml(relation)}"`) +
    (target === undefined || target === "" ? "" : ` target="${escapeHtml(target)}"`);
  const short = (address: string): string =>
    limit !== undefined && lengthOf(address) > limit ? `${substring(address, 0, limit)}...` : address;
  const link = (address: string): string => {
    if (WEB_ADDRESS.test(address)) {
      const full = /^https?:\/\//.test(address) ? address : `https://${address}`;
      return `<a href="${full}"${attributes}>${short(address)}</a>`;
    }
    if (address.startsWith("mailto:") && MAIL_ADDRESS.test(address.slice(7))) {
      return `<a href="${address}">${address.slice(7)}</a>`;
    }
    const isMail = address.includes("@") && !/^(www\.|@)/.test(address) && !address.includes(":");
    if (isMail && MAIL_ADDRESS.test(address)) return `<a href="mailto:${address}">${address}</a>`;
    return schemes.reduce((shown, scheme) => {
      return shown !== scheme && shown.startsWith(scheme) ? `<a href="${shown}"${attributes}>${shown}</a>` : shown;
    }, address);
  };
  return text
    .split(WHITE_SPACE)
    .map((word) => {
      const [head] = /^(?:[(<]|&lt;)*/.exec(word)!;
      let middle = word.slice(head.length);
      const trailing = /(?:[)>.,\n]|&gt;)+$/.exec(middle);
      let tail = trailing?.[0] ?? "";
      middle = middle.slice(0, middle.length - tail.length);
      for (const [open, close] of [
        ["(", ")"],
        ["<", ">"],
        ["&lt;", "&gt;"],
      ] as const) {
        const count = (part: string, found: string): number => part.split(found).length - 1;
        if (count(middle, open) <= count(middle, close)) continue;
        for (let moves = Math.min(count(middle, open), count(tail, close)); moves > 0; moves--) {
          const end = tail.indexOf(close) + close.length;
          middle += tail.slice(0, end);
          tail = tail.slice(end);
        }
      }
      return head + link(middle) + tail;
    })
    .join("");
}
