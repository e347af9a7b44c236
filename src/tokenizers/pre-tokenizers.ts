import { PRE_TOKEN_PATTERN, toByteCharacters } from "./byte-level.js";
import { build, countIn, flagIn, type Part, partsOf, requireBounded, textIn } from "./part.js";
import { Pattern, type StretchSink, WORD_CHARACTERS } from "./pattern.js";
import { UNKNOWN_TO_CATEGORIES } from "./unicode-versions.js";

/**
 * Takes the piece of a text from `start` to before `end`, in UTF-16 units.
 * @param isFirst true for the piece that the original text begins with.
 */
export type PieceSink = (text: string, start: number, end: number, isFirst: boolean) => void;

export interface PreTokenizer {
  /** Splits a piece further, and gives the parts one at a time; some may be without text. */
  split(text: string, isFirst: boolean, take: PieceSink): void;
  /** True if the pieces are still to be written in the characters of their bytes (`toByteCharacters`). */
  readonly isOfBytes?: boolean;
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
    const last = steps.at(-1);
    const written = steps.map((step) => (step !== last && step.isOfBytes ? inBytes(step) : step));
    return {
      split: (text, isFirst, take) => {
        const through = written.reduceRight<PieceSink>((next, step) => {
          const counted = bounded(text.length, next);
          return (piece, start, end, isFirstPiece) => step.split(piece.slice(start, end), isFirstPiece, counted);
        }, take);
        through(text, 0, text.length, isFirst);
      },
      isOfBytes: last?.isOfBytes === true,
      isForeign: steps.some(({ isForeign }) => isForeign),
    };
  },
  ByteLevel: (part) => {
    const [addsSpace, splits] = [flagIn(part, "add_prefix_space", true), flagIn(part, "use_regex", true)];
    const pattern = Pattern.from(PRE_TOKEN_PATTERN, true);
    return {
      split: (text, isFirst, take) => {
        const spaced = addsSpace && !text.startsWith(" ") ? ` ${text}` : text;
        if (splits) pattern.stretches(spaced, piecesOf(spaced, isFirst, take));
        else take(spaced, 0, spaced.length, isFirst);
      },
      isOfBytes: true,
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
    return {
      split: (text, isFirst, take) =>
        spaces.split(text, isFirst, (words, start, end, isFirstWord) =>
          signs.split(words.slice(start, end), isFirstWord, take),
        ),
    };
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

/** Passes pieces on. @throws Error once they have many more characters than were given. */
function bounded(given: number, take: PieceSink): PieceSink {
  let made = 0;
  return (text, start, end, isFirst) => {
    made += end - start;
    requireBounded(made, given, "pre_tokenizer");
    take(text, start, end, isFirst);
  };
}

/** The same pieces, in the characters of their bytes. */
function inBytes({ split, isForeign = false }: PreTokenizer): PreTokenizer {
  return {
    split: (text, isFirst, take) =>
      split(text, isFirst, (piece, start, end, isFirstPiece) => {
        const characters = toByteCharacters(piece.slice(start, end));
        take(characters, 0, characters.length, isFirstPiece);
      }),
    isForeign,
  };
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
    split: (text, isFirst, take) => {
      const marked = text.replaceAll(" ", replacement);
      const prepends = (scheme === "always" || (scheme === "first" && isFirst)) && !marked.startsWith(replacement);
      const whole = prepends ? replacement + marked : marked;
      if (splits) words.split(whole, isFirst, take);
      else take(whole, 0, whole.length, isFirst);
    },
  };
}

/** Gives stretches of a text, one at a time. */
type Stretches = (take: StretchSink) => void;

/** Joins stretches of a text to pieces, or leaves some out. */
type Behavior = (stretches: Stretches) => Stretches;

const BEHAVIORS: Readonly<Record<string, Behavior>> = {
  Isolated: (stretches) => stretches,
  Removed: (stretches) => (take) =>
    stretches((start, end, isMatch) => {
      if (!isMatch) take(start, end, isMatch);
    }),
  Contiguous: joined((last, next) => last === next),
  MergedWithPrevious: joined((last, next) => next && !last),
  MergedWithNext: joined((last, next) => last && !next),
};

/** Joins each stretch to the last one before it where the two go together, as far as they are matches or not. */
function joined(goTogether: (lastIsMatch: boolean, nextIsMatch: boolean) => boolean): Behavior {
  return (stretches) => (take) => {
    let [from, to, lastIsMatch] = [0, 0, false];
    stretches((start, end, isMatch) => {
      if (to > from && !goTogether(lastIsMatch, isMatch)) {
        take(from, to, lastIsMatch);
        from = start;
      }
      [to, lastIsMatch] = [end, isMatch];
    });
    if (to > from) take(from, to, lastIsMatch);
  };
}

function inverted(stretches: Stretches): Stretches {
  return (take) => stretches((start, end, isMatch) => take(start, end, !isMatch));
}

/** @throws Error for an unknown behavior. */
function splitter(pattern: Pattern, behavior: string, invert = false): PreTokenizer {
  const join = Object.hasOwn(BEHAVIORS, behavior) ? BEHAVIORS[behavior] : undefined;
  if (join === undefined) {
    throw new Error(`behavior must be one of ${Object.keys(BEHAVIORS).join(", ")}, not "${behavior}"`);
  }
  return {
    split: (text, isFirst, take) => {
      const stretches: Stretches = (each) => pattern.stretches(text, each);
      join(invert ? inverted(stretches) : stretches)(piecesOf(text, isFirst, take));
    },
    isForeign: pattern.isForeign,
  };
}

function piecesOf(text: string, isFirst: boolean, take: PieceSink): StretchSink {
  return (start, end) => take(text, start, end, isFirst && start === 0);
}
