import { CheckpointError } from "../base/errors.js";
import { isObject } from "../base/json.js";

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

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const WORD = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";

const byteLevel = (use_regex: boolean): Part => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex,
});

const split = (Regex: string): Part => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });

const sequence = (...pretokenizers: readonly Part[]): Part => ({ type: "Sequence", pretokenizers });

const PLAIN = { normalizer: null, ignoreMerges: false, addsBegin: false } as const;

const GPT2: Splitting = { ...PLAIN, preTokenizer: byteLevel(true) };

/** As GPT-2's, with a piece for each digit. */
const DIGITS: Splitting = {
  ...PLAIN,
  preTokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel(true)),
};

const LLAMA3: Splitting = {
  normalizer: null,
  preTokenizer: sequence(split(`${CONTRACTIONS}|${WORD}|\\p{N}{1,3}|${REST}`), byteLevel(false)),
  ignoreMerges: true,
  addsBegin: true,
};

const QWEN2: Splitting = {
  ...PLAIN,
  normalizer: { type: "NFC" },
  preTokenizer: sequence(split(`${CONTRACTIONS}|${WORD}|\\p{N}|${REST}`), byteLevel(false)),
};

/** Splittings by their names in `tokenizer.ggml.pre`, and those that compute the same. */
const SPLITTINGS: Readonly<Record<string, Splitting>> = {
  ...{ "gpt-2": GPT2, "phi-2": GPT2, olmo: GPT2, mpt: GPT2, jais: GPT2 },
  ...{ smollm: DIGITS, starcoder: DIGITS, refact: DIGITS, "command-r": DIGITS, codeshell: DIGITS },
  ...{ "llama-bpe": LLAMA3, llama3: LLAMA3, "llama-v3": LLAMA3, falcon3: LLAMA3 },
  ...{ dbrx: { ...LLAMA3, ignoreMerges: false, addsBegin: false } },
  ...{ "smaug-bpe": { ...LLAMA3, ignoreMerges: false, addsBegin: false } },
  ...{ qwen2: QWEN2, "deepseek-r1-qwen": QWEN2, megrez: QWEN2 },
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

/** The parts without what makes no difference to ids: offsets, defaults, sequences of one. */
function essence(...parts: readonly unknown[]): string {
  return JSON.stringify(parts, (key, value: unknown) => {
    if (key === "trim_offsets" || value === false) return undefined;
    if (!isObject(value)) return value;
    const inner = value.pretokenizers ?? value.normalizers;
    if (value.type === "Sequence" && Array.isArray(inner) && inner.length === 1) return inner[0];
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
