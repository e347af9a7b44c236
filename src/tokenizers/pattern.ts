import { shownValue } from "../base/json.js";
import { translated } from "./oniguruma.js";
import { type Part, partOf } from "./part.js";
import { UNKNOWN_TO_PATTERNS } from "./unicode-versions.js";

/** A stretch of a text, in UTF-16 units, and if it is a match of the pattern. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly isMatch: boolean;
}

/** Splits a text into matches and the stretches between them. */
export class Pattern {
  /** True for a regular expression of the file, which may backtrack without end. */
  readonly isForeign: boolean;
  readonly #regex: RegExp;
  readonly #isOniguruma: boolean;

  private constructor(regex: RegExp, { isForeign, isOniguruma }: { isForeign: boolean; isOniguruma: boolean }) {
    this.#regex = regex;
    this.isForeign = isForeign;
    this.#isOniguruma = isOniguruma;
  }

  /** `{"String": …}` or `{"Regex": …}`, in Oniguruma's syntax. @throws Error for anything else. */
  static of(value: unknown): Pattern {
    const described: Part = typeof value === "string" ? { String: value } : (partOf(value, "pattern") ?? {});
    const { String: text, Regex: source } = described;
    if (typeof text === "string") {
      const escaped = text === "" ? "[]" : text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
      return new Pattern(new RegExp(escaped, "gu"), { isForeign: false, isOniguruma: false });
    }
    if (typeof source !== "string") throw new Error(`pattern must be a String or a Regex, not ${shownValue(value)}`);
    return new Pattern(translated(source), { isForeign: true, isOniguruma: true });
  }

  /** A pattern of our own, for characters as Oniguruma (`true`) or Rust's standard library knows them. */
  static from(regex: RegExp, isOniguruma: boolean): Pattern {
    return new Pattern(regex, { isForeign: false, isOniguruma });
  }

  /** Stretches that cover the text; none of them is empty. One at a time, so that a long text takes no more memory. */
  *stretches(text: string): Generator<Stretch, void> {
    const sought = this.#isOniguruma ? asOniguruma(text) : text;
    let end = 0;
    for (const { index, 0: match } of sought.matchAll(this.#regex)) {
      if (index > end) yield { start: end, end: index, isMatch: false };
      end = index + match.length;
      if (match !== "") yield { start: index, end, isMatch: true };
    }
    if (end < text.length) yield { start: end, end: text.length, isMatch: false };
  }

  replace(text: string, replacement: string): string {
    let result = "";
    for (const { start, end, isMatch } of this.stretches(text))
      result += isMatch ? replacement : text.slice(start, end);
    return result;
  }
}

/** Characters of a word in Rust's regular expressions, for use in a character class. */
export const WORD_CHARACTERS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";

const UNKNOWN = new RegExp(`[\u0295${UNKNOWN_TO_PATTERNS}]`, "gu");

/**
 * The text as Oniguruma 6.9 sees it: characters that came with later versions of Unicode are unassigned, and U+0295 is
 * a small letter. It has the same length.
 */
function asOniguruma(text: string): string {
  return text.replace(UNKNOWN, (character) =>
    character === "\u0295" ? "\u0259" : character.length === 1 ? "\u0378" : "\u{1fffe}",
  );
}
