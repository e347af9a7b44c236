import { BYTE_CHARACTERS } from "../src/tokenizers/byte-level.js";

type Json = Readonly<Record<string, unknown>>;

const EMPTY = { version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null } as const;

function whole(parts: Json): Json {
  return { ...EMPTY, pre_tokenizer: null, post_processor: null, decoder: null, ...parts };
}

/** Spells each piece of a text by its bytes and closes it with a bar, so that ids show what became of the text. */
function spelling(parts: Json): Json {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const vocab = Object.fromEntries(["<unk>", ...bytes, "<end>"].map((token, id) => [token, id]));
  const model = { type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: null, fuse_unk: false };
  const decoder = { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] };
  return whole({
    decoder,
    model: { ...model, end_of_word_suffix: "|", byte_fallback: true, vocab, merges: [] },
    ...parts,
  });
}

const normalized = (...normalizers: Json[]): Json =>
  spelling({ normalizer: normalizers.length === 1 ? normalizers[0] : { type: "Sequence", normalizers } });
const split = (...pretokenizers: Json[]): Json =>
  spelling({ pre_tokenizer: pretokenizers.length === 1 ? pretokenizers[0] : { type: "Sequence", pretokenizers } });
const pattern = (Regex: string, behavior: string, invert = false): Json =>
  split({ type: "Split", pattern: { Regex }, behavior, invert });

const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false } as const;
const added = (flags: Json, parts: Json = {}): Json =>
  spelling({
    added_tokens: [
      { ...PLAIN, id: 258, content: "solo", ...flags },
      { ...PLAIN, id: 259, content: "solo more", ...flags },
      { ...PLAIN, id: 260, content: "É!", special: true },
    ],
    ...parts,
  });

const LETTERS = "abcdehilnorstuw".split("");

const WORDS = {
  "[UNK]": 0,
  solo: 1,
  "##lo": 2,
  so: 3,
  "##mo": 4,
  "##re": 5,
  more: 6,
  two: 7,
  "it's": 8,
  "##s": 9,
  ".": 10,
  "'": 11,
  s: 12,
};

function bpe(change: Json, decoder: Json | null = null): Json {
  const vocab = [
    "<unk>",
    ...LETTERS,
    "so",
    "lo",
    "solo",
    "mo",
    "re",
    "more",
    "##l",
    "##o",
    "##lo",
    "m",
    "wo",
    "two",
    "t</w>",
  ];
  const merges = ["s o", "l o", "so lo", "m o", "r e", "mo re", "w o", "t wo"];
  const model = { type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: null };
  const rest = { end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: false, merges };
  return whole({ decoder, model: { ...model, ...rest, vocab: ids(vocab), ...change } });
}

function ids(tokens: readonly string[]): Record<string, number> {
  return Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
}

function unigram(change: Json, decoder: Json | null = null): Json {
  const scored = (token: string, score: number) => [token, score];
  const vocab = [
    scored("<unk>", 0),
    ...LETTERS.map((token, i) => scored(token, -4 - i / 8)),
    scored("so", -5),
    scored("lo", -6),
  ];
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    scored(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, -20),
  );
  return whole({
    decoder,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    model: {
      type: "Unigram",
      unk_id: 0,
      byte_fallback: false,
      vocab: [...vocab, scored("solo", -7), scored("▁", -3), scored("▁two", -6), ...bytes],
      ...change,
    },
  });
}

const BYTE_LEVEL = { add_prefix_space: false, trim_offsets: true, use_regex: true } as const;

function byteLevel(change: Json, parts: Json = {}): Json {
  const vocab = ids([...BYTE_CHARACTERS, "so", "lo", "solo", "Ġsolo", "ĠĠ", "'s"]);
  const merges = [
    ["s", "o"],
    ["l", "o"],
    ["so", "lo"],
    ["Ġ", "solo"],
    ["Ġ", "Ġ"],
    ["'", "s"],
  ];
  const model = { type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: "", end_of_word_suffix: "" };
  const steps = {
    pre_tokenizer: { type: "ByteLevel", ...BYTE_LEVEL, ...change },
    decoder: { type: "ByteLevel", ...BYTE_LEVEL },
  };
  return whole({ ...steps, model: { ...model, fuse_unk: false, byte_fallback: false, vocab, merges }, ...parts });
}

const template = (single: Json[], tokens: Readonly<Record<string, number>>): Json => ({
  type: "TemplateProcessing",
  single,
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: Object.fromEntries(
    Object.entries(tokens).map(([id, number]) => [id, { id, ids: [number], tokens: [id] }]),
  ),
});
const special = (id: string): Json => ({ SpecialToken: { id, type_id: 0 } });
const TEXT = { Sequence: { id: "A", type_id: 0 } };

/** Contents of tokenizer.json with each part and flag that there is, by name. */
export const TOKENIZER_KINDS: Readonly<Record<string, Json>> = {
  "as it is": spelling({}),
  NFC: normalized({ type: "NFC" }),
  NFD: normalized({ type: "NFD" }),
  NFKC: normalized({ type: "NFKC" }),
  NFKD: normalized({ type: "NFKD" }),
  "lower case": normalized({ type: "Lowercase" }),
  "stripped at both ends": normalized({ type: "Strip", strip_left: true, strip_right: true }),
  "stripped on the left": normalized({ type: "Strip", strip_left: true, strip_right: false }),
  "without accents": normalized({ type: "NFD" }, { type: "StripAccents" }),
  "replaced text": normalized({ type: "Replace", pattern: { String: " " }, content: "▁" }),
  "replaced by a pattern": normalized({ type: "Replace", pattern: { Regex: "\\s{2,}" }, content: "_" }),
  prepended: normalized({ type: "Prepend", prepend: "▁" }, { type: "Replace", pattern: { String: " " }, content: "▁" }),
  "BERT's": normalized({
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  }),
  "BERT's, cased": normalized({
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: false,
    strip_accents: null,
    lowercase: false,
  }),
  "bytes as characters": normalized({ type: "ByteLevel" }),
  "white space": split({ type: "WhitespaceSplit" }),
  "words and signs": split({ type: "Whitespace" }),
  "BERT's pieces": split({ type: "BertPreTokenizer" }),
  punctuation: split({ type: "Punctuation", behavior: "Isolated" }),
  "punctuation with the piece before": split({ type: "Punctuation", behavior: "MergedWithPrevious" }),
  digits: split({ type: "Digits", individual_digits: true }),
  numbers: split({ type: "Digits", individual_digits: false }),
  "a delimiter": split({ type: "CharDelimiterSplit", delimiter: "o" }),
  "pieces of three": split({ type: "FixedLength", length: 3 }),
  "isolated matches": pattern("\\p{L}+|\\p{N}{1,3}", "Isolated"),
  "removed matches": pattern("\\s+", "Removed"),
  "removed rest": pattern("\\w+|[^\\w\\s]+", "Removed", true),
  "matches together": pattern("\\d", "Contiguous"),
  "matches with what is before": pattern("o", "MergedWithPrevious"),
  "matches with what is after": pattern("o", "MergedWithNext"),
  "matches with what is after, inverted": pattern("[a-z]+", "MergedWithNext", true),
  "a possessive pattern": pattern("\\s++$|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+", "Isolated"),
  "a text to split at": split({
    type: "Split",
    pattern: { String: "o" },
    behavior: "MergedWithPrevious",
    invert: false,
  }),
  "metaspace always": split({ type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true }),
  "metaspace first": split({ type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false }),
  "metaspace never": split({ type: "Metaspace", replacement: "▁", prepend_scheme: "never", split: true }),
  "metaspace first, among tokens": added(
    {},
    { pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true } },
  ),
  "metaspace after white space": split(
    { type: "WhitespaceSplit" },
    { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  ),
  "single digits, then bytes": split({ type: "Digits", individual_digits: true }, { type: "ByteLevel", ...BYTE_LEVEL }),
  "added tokens": added({}),
  "single words": added({ single_word: true }),
  "spaces on the left": added({ lstrip: true }),
  "spaces on the right": added({ rstrip: true }),
  "spaces on both sides of words": added({ lstrip: true, rstrip: true, single_word: true }),
  "normalized tokens": added({ normalized: true }, { normalizer: { type: "Lowercase" } }),
  "tokens that normalizing changes": spelling({
    normalizer: { type: "Lowercase" },
    added_tokens: [
      { ...PLAIN, id: 258, content: "SOLO", normalized: true },
      { ...PLAIN, id: 259, content: "Solo More", normalized: true, special: true },
      { ...PLAIN, id: 260, content: "É!", special: true },
    ],
  }),
  "tokens before normalizing": added({}, { normalizer: { type: "Lowercase" } }),
  "special tokens": added({ special: true }),
  "byte level": byteLevel({}),
  "byte level with a space in front": byteLevel({ add_prefix_space: true }),
  "byte level without its pattern": byteLevel({ use_regex: false }),
  "byte level, whole words first": byteLevel({}, { model: { ...(byteLevel({}).model as Json), ignore_merges: true } }),
  "byte level with a token": byteLevel(
    {},
    {
      added_tokens: [
        { ...PLAIN, id: 262, content: "a é" },
        { ...PLAIN, id: 263, content: "<s>", special: true },
      ],
      post_processor: template([special("<s>"), TEXT], { "<s>": 263 }),
    },
  ),
  "template with both ends": spelling({
    post_processor: template([special("<unk>"), TEXT, special("<end>")], { "<unk>": 0, "<end>": 257 }),
  }),
  "RoBERTa's ends": spelling({
    post_processor: {
      type: "RobertaProcessing",
      sep: ["<end>", 257],
      cls: ["<unk>", 0],
      trim_offsets: true,
      add_prefix_space: true,
    },
  }),
  "BERT's ends": spelling({ post_processor: { type: "BertProcessing", sep: ["<end>", 257], cls: ["<unk>", 0] } }),
  "a sequence of processors": spelling({
    post_processor: {
      type: "Sequence",
      processors: [{ type: "ByteLevel", ...BYTE_LEVEL }, template([special("<unk>"), TEXT], { "<unk>": 0 })],
    },
  }),
  "byte pairs": bpe({}),
  "byte pairs, unknowns fused": bpe({ fuse_unk: true }),
  "byte pairs, unknowns left out": bpe({ unk_token: null }),
  "byte pairs, whole words first": bpe({ ignore_merges: true }),
  "byte pairs with prefix": bpe(
    { continuing_subword_prefix: "##", merges: ["##l ##o"] },
    { type: "WordPiece", prefix: "##", cleanup: true },
  ),
  "byte pairs with suffix": bpe(
    { end_of_word_suffix: "</w>", merges: ["s o"] },
    { type: "BPEDecoder", suffix: "</w>" },
  ),
  "word pieces": whole({
    pre_tokenizer: { type: "BertPreTokenizer" },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 12,
      vocab: WORDS,
    },
  }),
  "whole words": whole({
    pre_tokenizer: { type: "WhitespaceSplit" },
    model: { type: "WordLevel", unk_token: "[UNK]", vocab: WORDS },
  }),
  unigram: unigram({}, { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true }),
  "unigram with bytes": unigram(
    { byte_fallback: true },
    {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
  ),
};

/** Texts in which the kinds differ. */
export const KIND_TEXTS: readonly string[] = [
  ...[
    "",
    " ",
    "solo",
    "xsolo",
    "solos",
    "solo more",
    "  solo  ",
    "a solo, more.",
    "solosolo solo\n\tsolo",
    "Solo MORE two",
    "_solo solo-é",
  ],
  ...[
    "É! é! e\u0301! SOLO",
    "it's two's  \n\n  more 12345 ½ ² ９\u0661",
    "\u00a0solo\u0085solo\u2028\ufeffsolo\ufeff",
    "a é a é",
    "<s>solo<end>",
  ],
  ...[
    "ΑΣ İ ſ ﬁ Å ㎏ 한국어 각",
    "東京solo日本 ไทย नमस्ते",
    "👩‍👩‍👧 🇩🇪 e\u0323\u0307",
    "▁solo ▁▁ two",
    "…—“x”¿? \u061d\u2e43 $+<=>^`|~",
    "\u0000\u0001\u007f\ufffd\u200b\u00ad x\u200cy",
  ],
  ...[
    "thesolowordisverylong",
    "rore tstwo wo",
    "\u0295\u{1e030}\u088f\u0378\u{10940}",
    " . ? ! , ' n't 'm 's do not",
    "\n",
    "\r\n solo \r\n",
  ],
];
