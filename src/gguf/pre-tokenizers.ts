import { CheckpointError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { KNOWN_PATTERNS } from "../tokenizers/known-patterns.js";

/** A part of tokenizer.json. */
type Part = Readonly<Record<string, unknown>>;

/** The way in which a kind of byte-level BPE takes texts apart, as parts of tokenizer.json. */
export interface Splitting {
  readonly normalizer: Part | null;
  readonly preTokenizer: Part;
  /** True if a piece that is a token is one, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** True if llama.cpp puts the first token in front of texts where the file does not say it. */
  readonly addsBegin: boolean;
}

const byteLevel = (use_regex: boolean): Part => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex,
});

const split = (Regex: string): Part => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });

const sequence = (pretokenizers: readonly Part[]): Part => ({ type: "Sequence", pretokenizers });

const PLAIN = { normalizer: null, ignoreMerges: false, addsBegin: false } as const;

const GPT2: Splitting = { ...PLAIN, preTokenizer: byteLevel(true) };

const DIGIT: Part = { type: "Digits", individual_digits: true };

/** As GPT-2's, with a piece for each digit. */
const DIGITS: Splitting = {
  ...PLAIN,
  preTokenizer: sequence([DIGIT, byteLevel(true)]),
};

const LLAMA3: Splitting = {
  normalizer: null,
  preTokenizer: sequence([split(KNOWN_PATTERNS.llama3), byteLevel(false)]),
  ignoreMerges: true,
  addsBegin: true,
};

const QWEN2: Splitting = {
  ...PLAIN,
  normalizer: { type: "NFC" },
  preTokenizer: sequence([split(KNOWN_PATTERNS.qwen2), byteLevel(false)]),
};

const GPT4O: Splitting = {
  ...PLAIN,
  preTokenizer: sequence([split(KNOWN_PATTERNS.gpt4o), byteLevel(false)]),
};

const TEKKEN: Splitting = {
  normalizer: null,
  preTokenizer: sequence([split(KNOWN_PATTERNS.tekken), byteLevel(false)]),
  ignoreMerges: true,
  addsBegin: true,
};

const SEED_CODER: Splitting = {
  ...PLAIN,
  preTokenizer: sequence([split(KNOWN_PATTERNS.seedCoder), byteLevel(false)]),
};

/** The letters of scripts with capitals, as DeepSeek's first models list them. */
const CASED_LETTERS =
  "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373" +
  "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f" +
  "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77" +
  "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d" +
  "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb" +
  "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128" +
  "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4" +
  "\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf" +
  "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}" +
  "\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}";
const PUNCTUATION = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002";
const IDEOGRAPHS = split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+");

const DEEPSEEK_LLM: Splitting = {
  ...PLAIN,
  preTokenizer: sequence([
    ...["[\r\n]", `\\s?[${CASED_LETTERS}]+`, `\\s?[${PUNCTUATION}]+`, "\\s+$"].map(split),
    ...[IDEOGRAPHS, DIGIT, byteLevel(false)],
  ]),
};

const DEEPSEEK_CODER: Splitting = {
  ...PLAIN,
  preTokenizer: sequence([
    ...["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+"].map(split),
    ...[IDEOGRAPHS, DIGIT, byteLevel(false)],
  ]),
};

const DEEPSEEK_V3: Splitting = {
  ...PLAIN,
  preTokenizer: sequence([
    split("\\p{N}{1,3}"),
    split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
    split(
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" +
        " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ),
    byteLevel(false),
  ]),
};

/** Splittings by their names in `tokenizer.ggml.pre`, and those that compute the same. */
const SPLITTINGS: Readonly<Record<string, Splitting>> = {
  ...{ "gpt-2": GPT2, "phi-2": GPT2, olmo: GPT2, mpt: GPT2, jais: GPT2 },
  ...{ mellum: GPT2, "a.x-4.0": GPT2, trillion: GPT2 },
  ...{ smollm: DIGITS, starcoder: DIGITS, refact: DIGITS, "command-r": DIGITS, codeshell: DIGITS },
  ...{ "minerva-7b": DIGITS },
  ...{ "llama-bpe": LLAMA3, llama3: LLAMA3, "llama-v3": LLAMA3, falcon3: LLAMA3, pixtral: LLAMA3, "midm-2.0": LLAMA3 },
  ...{ dbrx: { ...LLAMA3, ignoreMerges: false, addsBegin: false } },
  ...{ "smaug-bpe": { ...LLAMA3, ignoreMerges: false, addsBegin: false } },
  ...{ qwen2: QWEN2, "deepseek-r1-qwen": QWEN2, megrez: QWEN2 },
  ...{ "gpt-4o": GPT4O, tekken: TEKKEN, "seed-coder": SEED_CODER },
  ...{ "deepseek-llm": DEEPSEEK_LLM, "deepseek-coder": DEEPSEEK_CODER, "deepseek-v3": DEEPSEEK_V3 },
};

/** The splitting of this name. @throws CheckpointError for one that is not known. */
export function splittingNamed(where: string, name: string | undefined): Splitting {
  if (name !== undefined && Object.hasOwn(SPLITTINGS, name)) return SPLITTINGS[name]!;
  const is = name === undefined ? "missing" : `"${name}"`;
  throw new CheckpointError(
    `${where}: tokenizer.ggml.pre is ${is}, and only ${Object.keys(SPLITTINGS).join(", ")} are known; ` +
      "name a folder with the model's tokenizer.json as the tokenizer",
  );
}

/** The name of the splitting that computes as these parts of a tokenizer.json do; undefined if none is known to. */
export function namedSplitting(normalizer: unknown, preTokenizer: unknown, ignoreMerges: boolean): string | undefined {
  const wanted = essence(normalizer ?? null, preTokenizer);
  return Object.keys(SPLITTINGS).find((name) => {
    const splitting = SPLITTINGS[name]!;
    return splitting.ignoreMerges === ignoreMerges && essence(splitting.normalizer, splitting.preTokenizer) === wanted;
  });
}

/** The mark that SentencePiece writes for a space. */
export const SPACE = "▁";

/** A normalizer that writes spaces as SentencePiece does. */
export const MARKED_SPACES = { type: "Replace", pattern: { String: " " }, content: SPACE };

/** The same, with a space of its own in front. */
export const PREFIXED_SPACES = { type: "Sequence", normalizers: [{ type: "Prepend", prepend: SPACE }, MARKED_SPACES] };

/** As Gemma's: no space is left to split at. */
const AT_SPACES = { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false };

/**
 * A way to write spaces as SentencePiece does: with one of its own in front of a text and of what follows an added
 * token, or without, or in front unless the text begins with a space, which is almost the first.
 */
type Spaces = "prefixed" | "plain" | "almost prefixed";

const SPACES: readonly (readonly [normalizer: unknown, preTokenizer: unknown, way: Spaces])[] = [
  [PREFIXED_SPACES, null, "prefixed"],
  [MARKED_SPACES, null, "plain"],
  [MARKED_SPACES, AT_SPACES, "plain"],
  [null, metaspace("first"), "almost prefixed"],
  [null, metaspace("always"), "almost prefixed"],
  [null, metaspace("never"), "plain"],
];

function metaspace(scheme: string): unknown {
  return { type: "Metaspace", replacement: SPACE, prepend_scheme: scheme, split: false };
}

/** The way in which these parts of a tokenizer.json write spaces; undefined if it is none of SentencePiece's. */
export function namedSpaces(normalizer: unknown, preTokenizer: unknown): Spaces | undefined {
  // "split: false" is no default, unlike other values that are false.
  const marked = (pre: unknown): unknown => (isObject(pre) && pre.split === false ? { ...pre, split: "none" } : pre);
  const wanted = essence(normalizer ?? null, marked(preTokenizer ?? null));
  return SPACES.find(([normal, pre]) => essence(normal, marked(pre)) === wanted)?.[2];
}

/** The parts without what makes no difference to ids: offsets, defaults, sequences of none or one. */
function essence(...parts: readonly unknown[]): string {
  return JSON.stringify(parts, (key, given: unknown) => {
    const value = alone(given);
    if (key === "trim_offsets" || value === false) return undefined;
    if (!isObject(value)) return value;
    // Of a text whose every part matches, nothing but the matches is left.
    const isIsolated = value.behavior === "Removed" && value.invert === true && matchesAll(value.pattern);
    const plain = isIsolated ? { ...value, behavior: "Isolated", invert: false } : value;
    return Object.fromEntries(Object.entries(plain).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** The only member of a sequence of one, null for one of none, and any other value itself. */
function alone(value: unknown): unknown {
  if (!isObject(value) || value.type !== "Sequence") return value;
  const inner = value.pretokenizers ?? value.normalizers;
  return Array.isArray(inner) && inner.length < 2 ? alone(inner[0] ?? null) : value;
}

/** True for a pattern that ends in white space of any length, as those do that leave nothing out. */
function matchesAll(pattern: unknown): boolean {
  return isObject(pattern) && String(pattern.Regex).endsWith("|\\s+");
}
