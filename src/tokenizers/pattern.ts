import { shownValue } from "../base/json.js";
import { isKnownPattern } from "./known-patterns.js";
import { translated } from "./oniguruma.js";
import { type Part, partOf } from "./part.js";
import { UNKNOWN_TO_PATTERNS } from "./unicode-versions.js";

/** Takes a stretch of a text, in UTF-16 units, and if it is a match of the pattern. */
export type StretchSink = (start: number, end: number, isMatch: boolean) => void;

/** Splits a text into matches and the stretches between them. */
export class Pattern {
  /** True for a regular expression of the file that is not known, which may backtrack without end. */
  readonly isForeign: boolean;
  readonly #regex: RegExp;
  /** The same, for a match at a given place. */
  readonly #here: RegExp;
  readonly #isOniguruma: boolean;

  private constructor(regex: RegExp, { isForeign, isOniguruma }: { isForeign: boolean; isOniguruma: boolean }) {
    this.#regex = new RegExp(regex, "gu");
    this.#here = new RegExp(regex, "yu");
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
    return new Pattern(translated(source), { isForeign: !isKnownPattern(source), isOniguruma: true });
  }

  /** A pattern of our own, for characters as Oniguruma (`true`) or Rust's standard library knows them. */
  static from(regex: RegExp, isOniguruma: boolean): Pattern {
    return new Pattern(regex, { isForeign: false, isOniguruma });
  }

  /** Gives stretches that cover the text, one at a time; none of them is empty. */
  stretches(text: string, take: StretchSink): void {
    const sought = this.#isOniguruma ? asOniguruma(text) : text;
    const [regex, here] = [this.#regex, this.#here];
    let end = 0;
    for (let from = 0; from <= text.length; ) {
      let start = from;
      // Most patterns match all of a text; so looking right here first saves an array for each match.
      here.lastIndex = from;
      let next: number;
      if (here.test(sought)) next = here.lastIndex;
      else {
        regex.lastIndex = from;
        const match = regex.exec(sought);
        if (match === null) break;
        [start, next] = [match.index, regex.lastIndex];
      }
      if (start > end) take(end, start, false);
      end = next;
      if (next > start) take(start, next, true);
      from = next > start ? next : next + ((sought.codePointAt(next) ?? 0) > 0xffff ? 2 : 1);
    }
    if (end < text.length) take(end, text.length, false);
  }

  replace(text: string, replacement: string): string {
    let result = "";
    this.stretches(text, (start, end, isMatch) => {
      result += isMatch ? replacement : text.slice(start, end);
    });
    return result;
  }
}

/** Characters of a word in Rust's regular expressions, for use in a character class. */
export const WORD_CHARACTERS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";

/** Anything that `UNKNOWN` may match: looking for it is much quicker. */
const HIGH = /[^\0-\u0294]/;

const UNKNOWN = new RegExp(`[\u0295${UNKNOWN_TO_PATTERNS}]`, "gu");

/**
 * The text as Oniguruma 6.9 sees it: characters that came with later versions of Unicode are unassigned, and U+0295 is
 * a small letter. It has the same length.
 */
function asOniguruma(text: string): string {
  if (!HIGH.test(text)) return text;
  return text.replace(UNKNOWN, (character) =>
    character === "\u0295" ? "\u0259" : character.length === 1 ? "\u0378" : "\u{1fffe}",
  );
}
