import { toByteCharacters } from "./byte-level.js";
import { build, flagIn, type Part, partsOf, requireBounded, textIn } from "./part.js";
import { Pattern } from "./pattern.js";
import { precompiled } from "./precompiled.js";
import { UNKNOWN_TO_CATEGORIES, UNKNOWN_TO_NORMALIZATION } from "./unicode-versions.js";

/** Rewrites a text before it is split. */
export type Normalizer = (text: string) => string;

/** The normalizer that a tokenizer.json describes. @throws Error for one that is not known. */
export function normalizerOf(part: Part | null): Normalizer | null {
  return part === null ? null : sequence([build(KINDS, part, "normalizer")]);
}

function sequence(steps: readonly Normalizer[]): Normalizer {
  return (text) => {
    let result = text;
    for (const step of steps) {
      result = step(result);
      requireBounded(result.length, text.length, "normalizer");
    }
    return result;
  };
}

const KINDS: Readonly<Record<string, (part: Part) => Normalizer>> = {
  Sequence: (part) => sequence(partsOf(part, "normalizers").map((each) => build(KINDS, each, "normalizer"))),
  NFC: () => (text) => normalized(text, "NFC"),
  NFD: () => (text) => normalized(text, "NFD"),
  NFKC: () => (text) => normalized(text, "NFKC"),
  NFKD: () => (text) => normalized(text, "NFKD"),
  Lowercase: () => lowercase,
  Strip: (part) => {
    const [left, right] = [flagIn(part, "strip_left", true), flagIn(part, "strip_right", true)];
    return (text) => stripEnd(stripStart(text, left), right);
  },
  StripAccents: () => (text) => text.replace(MARK, ""),
  Replace: (part) => {
    const [pattern, content] = [Pattern.of(part.pattern), textIn(part, "content")];
    return (text) => pattern.replace(text, content);
  },
  Prepend: (part) => {
    const prefix = textIn(part, "prepend");
    return (text) => (text === "" ? "" : prefix + text);
  },
  ByteLevel: () => toByteCharacters,
  Precompiled: (part) => precompiled(textIn(part, "precompiled_charsmap")),
  BertNormalizer: (part) => {
    const lower = flagIn(part, "lowercase", true);
    const steps: Normalizer[] = [];
    if (flagIn(part, "clean_text", true)) steps.push(cleanText);
    if (flagIn(part, "handle_chinese_chars", true)) steps.push((text) => text.replace(CHINESE, " $& "));
    if (flagIn(part, "strip_accents", lower))
      steps.push((text) => normalized(text, "NFD").replace(NONSPACING_MARK, ""));
    if (lower) steps.push(lowercase);
    return sequence(steps);
  },
};

const KNOWN_PIECES = new RegExp(`[^${UNKNOWN_TO_NORMALIZATION}]+`, "gu");
// With the few characters that were marks then and are none now, or the reverse.
const MARK = new RegExp(`[\\u1cf2\\u1cf3]|(?![\\u{111c9}${UNKNOWN_TO_NORMALIZATION}])\\p{M}`, "gu");
const NONSPACING_MARK = new RegExp(
  `[\\u1734\\u{1171e}]|(?![\\u1885\\u1886\\ua9bd\\u{111c9}${UNKNOWN_TO_CATEGORIES}])\\p{Mn}`,
  "gu",
);
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/** Normalizes as Unicode 9 does. */
function normalized(text: string, form: "NFC" | "NFD" | "NFKC" | "NFKD"): string {
  return text.replace(KNOWN_PIECES, (piece) => piece.normalize(form));
}

/** Each character by itself: in Rust, the end of a word is no reason for another small sigma. */
function lowercase(text: string): string {
  return text.replace(/\p{Changes_When_Lowercased}/gu, (character) => character.toLowerCase());
}

function stripStart(text: string, wanted: boolean): string {
  return wanted ? text.replace(/^\p{White_Space}+/u, "") : text;
}

function stripEnd(text: string, wanted: boolean): string {
  return wanted ? text.slice(0, text.length - trailingSpace(text)) : text;
}

/** Length of the white space at the end of a text. */
export function trailingSpace(text: string): number {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1]!)) end--;
  return text.length - end;
}

/** Drops control characters and makes all white space a space. */
function cleanText(text: string): string {
  return text.replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu, "").replace(/\p{White_Space}/gu, " ");
}
