import { PRE_TOKEN_PATTERN, toByteCharacters } from "./byte-level.js";
import { build, countIn, flagIn, type Part, partsOf, requireBounded, textIn } from "./part.js";
import { Pattern, type Stretch, WORD_CHARACTERS } from "./pattern.js";
import { UNKNOWN_TO_CATEGORIES } from "./unicode-versions.js";

/** A piece of a normalized text. */
export interface Piece {
  readonly text: string;
  /** True for the piece that the original text begins with. */
  readonly isFirst: boolean;
}

/** Splits pieces further, one at a time; pieces without text may be among the result. */
export interface PreTokenizer {
  split(piece: Piece): Iterable<Piece>;
  /** True if it runs a regular expression of the file, which may backtrack without end. */
  readonly isForeign?: boolean;
}

/** The pre-tokenizer that a tokenizer.json describes. @throws Error for one that is not known. */
export function preTokenizerOf(part: Part | null): PreTokenizer | null {
  return part === null ? null : build(KINDS, part, "pre_tokenizer");
}

const WHITE_SPACE = Pattern.from(/\p{White_Space}/gu, false);
const PUNCTUATION = Pattern.from(
  new RegExp(`[!-/:-@\\[-\`{-~\\u166d\\u{111c9}]|(?![${UNKNOWN_TO_CATEGORIES}])\\p{P}`, "gu"),
  false,
);

const WORDS_AND_SIGNS = Pattern.from(
  new RegExp(`[${WORD_CHARACTERS}]+|[^${WORD_CHARACTERS}\\p{White_Space}]+`, "gu"),
  true,
);

const KINDS: Readonly<Record<string, (part: Part) => PreTokenizer>> = {
  Sequence: (part) => {
    const steps = partsOf(part, "pretokenizers").map((each) => build(KINDS, each, "pre_tokenizer"));
    return {
      split: (piece) =>
        steps.reduce<Iterable<Piece>>((pieces, step) => bounded(splitAll(pieces, step), piece.text.length), [piece]),
      isForeign: steps.some(({ isForeign }) => isForeign),
    };
  },
  ByteLevel: (part) => {
    const [addsSpace, splits] = [flagIn(part, "add_prefix_space", true), flagIn(part, "use_regex", true)];
    const pattern = Pattern.from(PRE_TOKEN_PATTERN, true);
    const known = new Map<string, string>();
    return {
      split: ({ text, isFirst }) => {
        const spaced = addsSpace && !text.startsWith(" ") ? ` ${text}` : text;
        const pieces = splits ? piecesOf(spaced, isFirst, pattern.stretches(spaced)) : [{ text: spaced, isFirst }];
        return inBytes(pieces, known);
      },
    };
  },
  Metaspace: metaspace,
  Split: (part) => {
    const pattern = Pattern.of(part.pattern);
    return splitter(pattern, textIn(part, "behavior"), flagIn(part, "invert", false));
  },
  Whitespace: () => splitter(WORDS_AND_SIGNS, "Removed", true),
  WhitespaceSplit: () => splitter(WHITE_SPACE, "Removed"),
  BertPreTokenizer: () => {
    const [spaces, signs] = [splitter(WHITE_SPACE, "Removed"), splitter(PUNCTUATION, "Isolated")];
    return { split: (piece) => splitAll(spaces.split(piece), signs) };
  },
  Punctuation: (part) => splitter(PUNCTUATION, textIn(part, "behavior", "Isolated")),
  Digits: (part) =>
    splitter(Pattern.from(/\p{N}/gu, false), flagIn(part, "individual_digits", false) ? "Isolated" : "Contiguous"),
  CharDelimiterSplit: (part) => splitter(Pattern.of({ String: textIn(part, "delimiter") }), "Removed"),
  FixedLength: (part) => {
    const pattern = Pattern.from(new RegExp(`[\\s\\S]{1,${countIn(part, "length", 5)}}`, "gu"), false);
    return splitter(pattern, "Isolated");
  },
};

function* splitAll(pieces: Iterable<Piece>, step: PreTokenizer): Generator<Piece, void> {
  for (const piece of pieces) yield* step.split(piece);
}

function* bounded(pieces: Iterable<Piece>, given: number): Generator<Piece, void> {
  let made = 0;
  for (const piece of pieces) {
    made += piece.text.length;
    requireBounded(made, given, "pre_tokenizer");
    yield piece;
  }
}

function* inBytes(pieces: Iterable<Piece>, known: Map<string, string>): Generator<Piece, void> {
  for (const { text, isFirst } of pieces) yield { text: remembered(known, text, toByteCharacters), isFirst };
}

function metaspace(part: Part): PreTokenizer {
  const replacement = textIn(part, "replacement", "\u2581");
  const scheme = textIn(part, "prepend_scheme", flagIn(part, "add_prefix_space", true) ? "always" : "never");
  if (!["always", "first", "never"].includes(scheme)) {
    throw new Error(`prepend_scheme must be always, first or never, not "${scheme}"`);
  }
  const words = splitter(Pattern.of({ String: replacement }), "MergedWithNext");
  const splits = flagIn(part, "split", true);
  return {
    split: ({ text, isFirst }) => {
      const marked = text.replaceAll(" ", replacement);
      const prepends = (scheme === "always" || (scheme === "first" && isFirst)) && !marked.startsWith(replacement);
      const piece = { text: prepends ? replacement + marked : marked, isFirst };
      return splits ? words.split(piece) : [piece];
    },
  };
}

/** Joins stretches of a text to pieces, or leaves some out. */
type Behavior = (stretches: Iterable<Stretch>) => Iterable<Stretch>;

const BEHAVIORS: Readonly<Record<string, Behavior>> = {
  Isolated: (stretches) => stretches,
  Removed: withoutMatches,
  Contiguous: (stretches) => joined(stretches, (last, next) => last.isMatch === next.isMatch),
  MergedWithPrevious: (stretches) => joined(stretches, (last, next) => next.isMatch && !last.isMatch),
  MergedWithNext: (stretches) => joined(stretches, (last, next) => last.isMatch && !next.isMatch),
};

function* withoutMatches(stretches: Iterable<Stretch>): Generator<Stretch, void> {
  for (const stretch of stretches) if (!stretch.isMatch) yield stretch;
}

/** Joins each stretch to the last one before it where the two go together. */
function* joined(
  stretches: Iterable<Stretch>,
  goTogether: (last: Stretch, next: Stretch) => boolean,
): Generator<Stretch, void> {
  let [last, start]: [Stretch | undefined, number] = [undefined, 0];
  for (const next of stretches) {
    if (last === undefined || !goTogether(last, next)) {
      if (last !== undefined) yield { ...last, start };
      start = next.start;
    }
    last = next;
  }
  if (last !== undefined) yield { ...last, start };
}

function* inverted(stretches: Iterable<Stretch>): Generator<Stretch, void> {
  for (const stretch of stretches) yield { ...stretch, isMatch: !stretch.isMatch };
}

/** @throws Error for an unknown behavior. */
function splitter(pattern: Pattern, behavior: string, invert = false): PreTokenizer {
  const join = Object.hasOwn(BEHAVIORS, behavior) ? BEHAVIORS[behavior] : undefined;
  if (join === undefined) {
    throw new Error(`behavior must be one of ${Object.keys(BEHAVIORS).join(", ")}, not "${behavior}"`);
  }
  return {
    split: ({ text, isFirst }) => {
      const stretches = pattern.stretches(text);
      return piecesOf(text, isFirst, join(invert ? inverted(stretches) : stretches));
    },
    isForeign: pattern.isForeign,
  };
}

function* piecesOf(text: string, isFirst: boolean, stretches: Iterable<Stretch>): Generator<Piece, void> {
  for (const { start, end } of stretches) yield { text: text.slice(start, end), isFirst: isFirst && start === 0 };
}

/** Longest text that is remembered, in UTF-16 units, and number of them. */
const [LONGEST, MOST] = [64, 2 ** 17];

/** The function's result, which short texts have to be computed for only once. */
export function remembered<T>(known: Map<string, T>, text: string, compute: (text: string) => T): T {
  if (text.length > LONGEST) return compute(text);
  let result = known.get(text);
  if (result === undefined) {
    result = compute(text);
    if (known.size >= MOST) known.clear();
    known.set(text, result);
  }
  return result;
}
