// Texts of Python: sequences of code points, with Python's own notions of white space, lines and letter case.
// https://docs.python.org/3.11/library/stdtypes.html#text-sequence-type-str

/** White space of `str.isspace` and of `\s` in Python's patterns, as the inside of a character class. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const NOT_SPACE = new RegExp(`[^${SPACE}]`);
const SPACES = new RegExp(`[${SPACE}]+`);

/** Ends of lines for `str.splitlines`; more than Jinja2's own, which are CR, LF and CRLF. */
const LINE_BREAKS = "\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINE_END = new RegExp(`\\r\\n|[${LINE_BREAKS}]`, "g");

/** Digits that are no decimal digits, such as superscripts. */
const OTHER_DIGITS =
  "\\xb2\\xb3\\xb9\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c" +
  "\\u2488-\\u2490\\u24ea\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e\\u2780-\\u2788\\u278a-\\u2792\\u{10a40}-\\u{10a43}" +
  "\\u{10e60}-\\u{10e68}\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}";

/** Ideographs that stand for numbers. */
const NUMBER_LETTERS =
  "㐅㒃㠪㭍一七万三九二五世亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零" +
  "\\uf96b\\uf973\\uf978\\uf9b2\\uf9d1\\uf9d3\\uf9fd𠀁𠁤𠃢𠄡𠤪𠦃𠦌𠦜𠫪𠫽𠬙𢎐𢦘𣬛𦉭\\u{2f890}";

/** Letters and numbers of `str.isalnum`, as the inside of a character class; with `_` they are Python's `\w`. */
export const ALPHANUMERIC = "\\p{L}\\p{N}";

const CLASSES = {
  isalnum: new RegExp(`^[${ALPHANUMERIC}]+$`, "u"),
  isalpha: /^\p{L}+$/u,
  isascii: /^\p{ASCII}*$/u,
  isdecimal: /^\p{Nd}+$/u,
  isdigit: new RegExp(`^[\\p{Nd}${OTHER_DIGITS}]+$`, "u"),
  isidentifier: /^[\p{XID_Start}_]\p{XID_Continue}*$/u,
  isnumeric: new RegExp(`^[\\p{N}${NUMBER_LETTERS}]+$`, "u"),
  isprintable: /^(?: |[^\p{C}\p{Z}])*$/u,
  isspace: new RegExp(`^[${SPACE}]+$`),
} as const;

/** Names of the methods of `str` that ask of what kind all of its characters are. */
export const CLASS_NAMES = Object.keys(CLASSES) as readonly (keyof typeof CLASSES)[];

export function isOfClass(name: keyof typeof CLASSES, text: string): boolean {
  return CLASSES[name].test(text);
}

/** True if a code point of the text takes two UTF-16 units. */
function hasPairs(text: string): boolean {
  return /[\ud800-\udbff][\udc00-\udfff]/.test(text);
}

export function characters(text: string): string[] {
  return hasPairs(text) ? Array.from(text) : text.split("");
}

/** `len(text)`. */
export function lengthOf(text: string): number {
  return hasPairs(text) ? Array.from(text).length : text.length;
}

/** Where a code point begins, in UTF-16 units. */
export function unitsBefore(text: string, index: number): number {
  if (!hasPairs(text)) return Math.min(index, text.length);
  let units = 0;
  for (let i = 0; i < index && units < text.length; i++) units += text.codePointAt(units)! > 0xffff ? 2 : 1;
  return units;
}

/** Code points before a UTF-16 unit. */
export function indexOfUnit(text: string, unit: number): number {
  return lengthOf(text.slice(0, unit));
}

/** `text[start:stop]` for 0 ≤ start. */
export function substring(text: string, start: number, stop: number): string {
  if (!hasPairs(text)) return text.slice(start, Math.max(start, stop));
  return Array.from(text).slice(start, Math.max(start, stop)).join("");
}

/** Order of the texts by code points: negative, zero or positive. */
export function compareTexts(left: string, right: string): number {
  if (left === right) return 0;
  if (!hasPairs(left) && !hasPairs(right)) return left < right ? -1 : 1;
  const [a, b] = [Array.from(left), Array.from(right)];
  for (const [index, char] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    if (char !== other) return char.codePointAt(0)! - other.codePointAt(0)!;
  }
  return a.length - b.length;
}

/** `text.lstrip(chars)`; without characters, white space. */
export function stripStart(text: string, chars?: string): string {
  if (chars === undefined) {
    const start = text.search(NOT_SPACE);
    return start < 0 ? "" : text.slice(start);
  }
  const set = new Set(characters(chars));
  let start = 0;
  for (const char of characters(text)) {
    if (!set.has(char)) break;
    start += char.length;
  }
  return text.slice(start);
}

/** `text.rstrip(chars)`. */
export function stripEnd(text: string, chars?: string): string {
  if (chars === undefined) {
    let end = text.length;
    while (end > 0 && !NOT_SPACE.test(text[end - 1]!)) end--;
    return text.slice(0, end);
  }
  const set = new Set(characters(chars));
  let end = text.length;
  for (const char of characters(text).reverse()) {
    if (!set.has(char)) break;
    end -= char.length;
  }
  return text.slice(0, end);
}

/** `text.strip(chars)`. */
export function strip(text: string, chars?: string): string {
  return stripEnd(stripStart(text, chars), chars);
}

/** `text.split(separator, limit)`; without a separator, at white space. */
export function split(text: string, separator: string | undefined, limit: number): string[] {
  const parts: string[] = [];
  let rest = separator === undefined ? stripStart(text) : text;
  if (separator === undefined && rest === "") return [];
  while (limit < 0 || parts.length < limit) {
    const at = separator === undefined ? rest.search(SPACES) : rest.indexOf(separator);
    if (at < 0) break;
    parts.push(rest.slice(0, at));
    rest = separator === undefined ? stripStart(rest.slice(at)) : rest.slice(at + separator.length);
    if (separator === undefined && rest === "") return parts;
  }
  return [...parts, rest];
}

/** `text.rsplit(separator, limit)`. */
export function splitFromEnd(text: string, separator: string | undefined, limit: number): string[] {
  if (limit < 0) return separator === undefined ? split(text, undefined, -1) : overlapFromEnd(text, separator, -1);
  if (separator !== undefined) return overlapFromEnd(text, separator, limit);
  const parts: string[] = [];
  let rest = stripEnd(text);
  while (rest !== "") {
    let start = rest.length;
    while (start > 0 && NOT_SPACE.test(rest[start - 1]!)) start--;
    if (start === 0 || parts.length === limit) break;
    parts.unshift(rest.slice(start));
    rest = stripEnd(rest.slice(0, start));
  }
  return rest === "" ? parts : [rest, ...parts];
}

function overlapFromEnd(text: string, separator: string, limit: number): string[] {
  const parts: string[] = [];
  let rest = text;
  while (limit < 0 || parts.length < limit) {
    const at = rest.lastIndexOf(separator);
    if (at < 0) break;
    parts.push(rest.slice(at + separator.length));
    rest = rest.slice(0, at);
  }
  return [...parts, rest].reverse();
}

/** `text.splitlines(keepEnds)`. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const match of text.matchAll(LINE_END)) {
    const end = match.index + match[0].length;
    lines.push(text.slice(start, keepEnds ? end : match.index));
    start = end;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

/** `text.replace(old, replacement, limit)`. */
export function replace(text: string, old: string, replacement: string, limit: number): string {
  if (limit < 0 && old !== "") return text.replaceAll(old, () => replacement);
  if (old !== "") {
    const parts = split(text, old, limit);
    return parts.join(replacement);
  }
  const chars = characters(text);
  const count = limit < 0 ? chars.length + 1 : Math.min(limit, chars.length + 1);
  const pieces = chars.map((char, index) => (index < count ? replacement : "") + char);
  return pieces.join("") + (count > chars.length ? replacement : "");
}

/** Occurrences that do not overlap. */
export function countOf(text: string, part: string): number {
  return part === "" ? lengthOf(text) + 1 : text.split(part).length - 1;
}

/** `repr(text)`. */
export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return quote + text.replace(/[\\'"]|[^ -~]/gu, (char) => escaped(char, quote)) + quote;
}

function escaped(char: string, quote: string): string {
  if (char === "\n") return "\\n";
  if (char === "\r") return "\\r";
  if (char === "\t") return "\\t";
  if (char === "'" || char === '"') return char === quote ? `\\${char}` : char;
  if (char === "\\") return "\\\\";
  return CLASSES.isprintable.test(char) ? char : codePointEscape(char);
}

/** `\x00`, `\u0000` or `\U00000000`. */
export function codePointEscape(char: string): string {
  const code = char.codePointAt(0)!;
  const [letter, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(width as number, "0")}`;
}

/** Value of a decimal digit of any script. Unicode lays the ten digits of a script side by side, zero first. */
export function digitValue(digit: string): number {
  const code = digit.codePointAt(0)!;
  let before = 0;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(code - before - 1))) before++;
  return before % 10;
}

const TITLE_DIGRAPHS: Readonly<Record<string, string>> = { Ǆ: "ǅ", Ǉ: "ǈ", Ǌ: "ǋ", Ǳ: "ǲ" };

/** The title case of one character: where it differs from the upper case, JavaScript has no function for it. */
function titleCase(char: string): string {
  if (/^[\u10d0-\u10ff]$/.test(char) || char === "") return char;
  const upper = char.toUpperCase();
  if (upper.length === 1 || upper === "ʼN") return TITLE_DIGRAPHS[upper] ?? upper;
  const parts = char.normalize("NFD");
  if (parts.includes("\u0345")) return `${parts.replace("\u0345", "").toUpperCase()}\u0345`.normalize("NFC");
  const [first = "", ...rest] = Array.from(upper);
  return first + rest.join("").toLowerCase();
}

export function capitalize(text: string): string {
  const [first = ""] = Array.from(text.slice(0, 2));
  // The rest is lowered with what stands before it, which decides on the form of a final sigma.
  return titleCase(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** A part of a text in lower case. What stands around a sigma decides on its form. */
function loweredWithin(text: string, start: number, part: string): string {
  if (!part.includes("Σ")) return part.toLowerCase();
  const from = text.slice(0, start).toLowerCase().length;
  return text.toLowerCase().slice(from, from + part.toLowerCase().length);
}

/** `text.title()`: every letter that follows no cased letter begins a word. */
export function titled(text: string): string {
  return text.replace(/\p{Cased}+/gu, (word: string, start: number) => {
    const [first = ""] = Array.from(word.slice(0, 2));
    return titleCase(first) + loweredWithin(text, start + first.length, word.slice(first.length));
  });
}

export function swapCase(text: string): string {
  return text.replace(/\p{Lu}|\p{Ll}|\p{Cased}/gu, (char: string, start: number) =>
    char === char.toLowerCase() ? char.toUpperCase() : loweredWithin(text, start, char),
  );
}

export function caseFold(text: string): string {
  return text.replace(/./gsu, (char) => {
    if (char === "ı") return char;
    if (char === "ẞ") return "ss";
    const upper = char.toUpperCase();
    return /^[\u13a0-\u13f5]$/.test(upper) ? upper : upper.toLowerCase();
  });
}

export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}

/** `text.istitle()`. */
export function isTitled(text: string): boolean {
  let cased = false;
  let previous = false;
  for (const char of text) {
    if (/[\p{Uppercase}\p{Lt}]/u.test(char)) {
      if (previous) return false;
      previous = cased = true;
    } else if (/\p{Lowercase}/u.test(char)) {
      if (!previous) return false;
      cased = true;
    } else previous = false;
  }
  return cased;
}
