/** A regular expression of Python's `re`, translated, or why it is not. */
export type TranslatedPattern = { readonly source: string } | { readonly fault: string };

/** Longer ones are refused. */
const LONGEST = 10_000;

const WORD = "\\p{L}\\p{N}_";
const BOUNDARY = `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`;

/** Python's escapes that JavaScript knows otherwise or not at all, outside and inside of a set. */
const ESCAPES: Readonly<Record<string, readonly [outside: string | null, inside: string | null]>> = {
  d: ["\\p{Nd}", "\\p{Nd}"],
  D: ["\\P{Nd}", "\\P{Nd}"],
  w: [`[${WORD}]`, WORD],
  W: [`[^${WORD}]`, null],
  s: ["\\s", "\\s"],
  S: ["\\S", "\\S"],
  b: [BOUNDARY, null],
  A: ["^", null],
  Z: ["$", null],
  n: ["\\n", "\\n"],
  r: ["\\r", "\\r"],
  t: ["\\t", "\\t"],
};

/**
 * A regular expression of Python's `re` for texts without line ends, as the source of one of JavaScript's with the
 * flag `u` that matches the same texts. What means something else in JavaScript, or nothing, is a fault that names
 * it: flags inside the pattern, references to groups, atomic groups, conditions, possessive repeats, rare escapes.
 */
export function translatePythonPattern(pattern: string): TranslatedPattern {
  if (pattern.length > LONGEST) return { fault: `has ${pattern.length} characters, and at most ${LONGEST} are read` };
  const rest = new Reader(pattern);
  let source = "";
  while (!rest.atEnd) {
    const piece = translatePiece(rest);
    if (typeof piece !== "string") return piece;
    source += piece;
  }
  try {
    new RegExp(source, "u");
  } catch {
    return { fault: "is no regular expression" };
  }
  return { source };
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Takes what the sticky expression matches here. */
  take(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at;
    const match = expression.exec(this.#text);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  next(): string {
    const character = String.fromCodePoint(this.#text.codePointAt(this.#at)!);
    this.#at += character.length;
    return character;
  }
}

function translatePiece(rest: Reader): string | { fault: string } {
  const repeat = rest.take(/[*+?]|\{(\d*)(,?)(\d*)\}/uy);
  if (repeat !== null && repeat[0] !== "{}") {
    if (rest.take(/\+/uy) !== null) return { fault: `has the possessive repeat ${repeat[0]}+` };
    const [text, low, comma, high] = repeat;
    return low === undefined ? text : `{${low || 0}${comma}${high}}`;
  }
  if (repeat !== null) return "\\{\\}";
  const group = rest.take(/\((?:\?(?::|=|!|<=|<!|P<\w+>|.?))?/uy);
  if (group !== null) {
    const [opening] = group;
    if (opening === "(" || opening.startsWith("(?P<") || opening === "(?:") return "(?:";
    return ["(?=", "(?!", "(?<=", "(?<!"].includes(opening) ? opening : { fault: `has ${opening}, which is not read` };
  }
  if (rest.take(/\[/uy) !== null) return translateSet(rest);
  const character = rest.next();
  if (character === ".") return "[^\\n]";
  if (character === "\\") return translateEscape(rest, 0);
  return "^$|)".includes(character) ? character : literal(character);
}

function translateSet(rest: Reader): string | { fault: string } {
  let source = rest.take(/\^/uy) === null ? "[" : "[^";
  let empty = true;
  while (!rest.atEnd) {
    const character = rest.next();
    if (character === "]" && !empty) return `${source}]`;
    empty = false;
    const piece = character === "\\" ? translateEscape(rest, 1) : character === "-" ? "-" : literal(character);
    if (typeof piece !== "string") return piece;
    source += piece;
  }
  return { fault: "has a [ without its ]" };
}

function translateEscape(rest: Reader, place: 0 | 1): string | { fault: string } {
  if (rest.atEnd) return { fault: "ends in a backslash" };
  const character = rest.next();
  const known = Object.hasOwn(ESCAPES, character) ? ESCAPES[character]![place] : null;
  if (known !== null) return known;
  if (/[\p{L}\p{N}]/u.test(character)) return { fault: `has \\${character}, which is not read` };
  return character === "-" && place === 1 ? "\\-" : literal(character);
}

function literal(character: string): string {
  return /[\^$\\.*+?()[\]{}|/]/u.test(character) ? `\\${character}` : character;
}
