import { CheckpointError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { append } from "../base/lists.js";
import { GgufMetadata } from "./metadata.js";
import { openGguf } from "./open-gguf.js";
import { MARKED_SPACES, PREFIXED_SPACES, SPACE, splittingNamed } from "./pre-tokenizers.js";
import { GGUF_TOKEN_KINDS as KINDS } from "./types.js";

type Json = Record<string, unknown>;

/** The tokenizer of a GGUF file, as the files of a Hugging Face folder. */
export interface GgufTokenizer {
  readonly tokenizerJson: Json;
  /** Content of tokenizer_config.json, chat templates included. */
  readonly tokenizerConfig: Json;
}

/**
 * Rebuilds the tokenizer of a GGUF file.
 * @throws CheckpointError as `openGguf`, and for a file without a tokenizer, one of another kind, or damaged lists.
 */
export async function readGgufTokenizer(path: string): Promise<GgufTokenizer> {
  const metadata = new GgufMetadata(path, (await openGguf(path, { lists: true })).metadata);
  const kind = metadata.text("tokenizer.ggml.model");
  if (kind !== "gpt2" && kind !== "llama") {
    throw new CheckpointError(
      `${path}: tokenizer.ggml.model is ${shownValue(kind)}; gpt2 and llama can be read; ` +
        "name a folder with the model's tokenizer.json as the tokenizer",
    );
  }
  const isGemma = metadata.text("general.architecture")?.startsWith("gemma") === true;
  const tokens = isGemma ? readTokens(metadata).map(spelledSpaces) : readTokens(metadata);
  const parts = kind === "gpt2" ? byteLevel(metadata, tokens) : sentencePiece(metadata, tokens, isGemma);
  const tokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: tokens.filter(isAdded).map(({ id, text, kind }) => ({
      ...{ id, content: text, single_word: false, lstrip: false, rstrip: false, normalized: false },
      special: kind !== KINDS.userDefined,
    })),
    normalizer: parts.normalizer,
    pre_tokenizer: parts.preTokenizer,
    post_processor: postProcessor(metadata, tokens, parts.addsBegin),
    decoder: parts.decoder,
    model: { type: "BPE", dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null, ...parts.model },
  };
  return { tokenizerJson, tokenizerConfig: tokenizerConfig(metadata, tokens) };
}

interface Token {
  readonly id: number;
  readonly text: string;
  readonly kind: number;
}

/** The parts of a tokenizer.json that differ between the kinds of tokenizers. */
interface Parts {
  readonly normalizer: Json | null;
  readonly preTokenizer: Readonly<Json> | null;
  readonly decoder: Json;
  readonly model: Json;
  /** True if the first token stands in front of texts where the file does not say it. */
  readonly addsBegin: boolean;
}

function readTokens(metadata: GgufMetadata): Token[] {
  const texts = metadata.texts("tokenizer.ggml.tokens");
  if (texts === undefined) throw new CheckpointError(`${metadata.where}: tokenizer.ggml.tokens is missing`);
  const kinds = metadata.numbers("tokenizer.ggml.token_type");
  if (kinds !== undefined && kinds.length !== texts.length) {
    throw new CheckpointError(
      `${metadata.where}: tokenizer.ggml.token_type has ${kinds.length} values for ${texts.length} tokens`,
    );
  }
  return texts.map((text, id) => ({ id, text, kind: kinds?.[id] ?? KINDS.normal }));
}

/** True for tokens that are found in texts before these are taken apart. */
function isAdded({ kind, text }: Token): boolean {
  return (kind === KINDS.unknown || kind === KINDS.control || kind === KINDS.userDefined) && text !== "";
}

function byteLevel(metadata: GgufMetadata, tokens: readonly Token[]): Parts {
  const splitting = splittingNamed(metadata.where, metadata.text("tokenizer.ggml.pre"));
  const pairs = metadata.texts("tokenizer.ggml.merges");
  if (pairs === undefined) throw new CheckpointError(`${metadata.where}: tokenizer.ggml.merges is missing`);
  const merges = pairs.map((pair) => {
    const space = pair.indexOf(" ", 1);
    return [pair.slice(0, space), pair.slice(space + 1)];
  });
  return {
    ...splitting,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...{ unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: splitting.ignoreMerges },
      vocab: Object.fromEntries(tokens.map(({ text, id }) => [text, id])),
      merges,
    },
  };
}

/** Gemma's files hold its tokens of several spaces as they are. They are made by merges as others are. */
function spelledSpaces(token: Token): Token {
  return /^ {2,}$/.test(token.text) ? { ...token, text: SPACE.repeat(token.text.length), kind: KINDS.normal } : token;
}

/** @param isGemma true for files whose scores are not the order of the merges; that of the tokens is. */
function sentencePiece(metadata: GgufMetadata, tokens: readonly Token[], isGemma: boolean): Parts {
  const scores = metadata.numbers("tokenizer.ggml.scores");
  if (!isGemma && scores?.length !== tokens.length) {
    throw new CheckpointError(
      `${metadata.where}: tokenizer.ggml.scores has ${scores?.length ?? 0} values for ${tokens.length} tokens`,
    );
  }
  const addsPrefix = metadata.boolean("tokenizer.ggml.add_space_prefix") ?? true;
  const spaces = { type: "Replace", pattern: { String: SPACE }, content: " " };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  const unknown =
    metadata.number("tokenizer.ggml.unknown_token_id") ?? tokens.find(({ kind }) => kind === KINDS.unknown)?.id;
  return {
    normalizer: addsPrefix ? PREFIXED_SPACES : MARKED_SPACES,
    preTokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [spaces, { type: "ByteFallback" }, { type: "Fuse" }, ...(addsPrefix ? [strip] : [])],
    },
    model: {
      unk_token: unknown === undefined ? null : (tokens[unknown]?.text ?? null),
      fuse_unk: true,
      byte_fallback: tokens.some(({ kind }) => kind === KINDS.byte),
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map(({ text, id }) => [text, id])),
      merges: mergesOf(tokens, (id) => (isGemma ? -id : scores![id]!)),
    },
    addsBegin: true,
  };
}

/**
 * The merges that a vocabulary with scores implies: each token can be made of any two others that make its text, and
 * those of a higher score are made first (transformers' generate_merges).
 */
function mergesOf(tokens: readonly Token[], scoreOf: (id: number) => number): [string, string][] {
  const ids = new Map(tokens.map(({ text, id }) => [text, id] as const));
  const found: { pair: [left: string, right: string]; score: number; lengths: [left: number, right: number] }[] = [];
  for (const [text, id] of ids) {
    if (text.length > MAX_TOKEN_LENGTH) continue;
    const ways: typeof found = [];
    const characters = [...text];
    let left = "";
    for (let length = 1; length < characters.length; length++) {
      left += characters[length - 1]!;
      const right = text.slice(left.length);
      if (!ids.has(left) || !ids.has(right)) continue;
      ways.push({ pair: [left, right], score: scoreOf(id), lengths: [length, characters.length - length] });
    }
    ways.sort(({ pair: a }, { pair: b }) => ids.get(a[0])! - ids.get(b[0])! || ids.get(a[1])! - ids.get(b[1])!);
    append(found, ways);
  }
  found.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1]);
  return found.map(({ pair }) => pair);
}

/** Longer tokens are not made of others, so that a hostile list costs no time. */
const MAX_TOKEN_LENGTH = 1000;

function postProcessor(metadata: GgufMetadata, tokens: readonly Token[], addsBegin: boolean): Json | null {
  const token = (key: string): Token | undefined => tokens[metadata.number(`tokenizer.ggml.${key}`) ?? -1];
  const adds = (key: string, fallback: boolean): boolean => metadata.boolean(`tokenizer.ggml.${key}`) ?? fallback;
  const begin = adds("add_bos_token", addsBegin) ? token("bos_token_id") : undefined;
  const end = adds("add_eos_token", false) ? token("eos_token_id") : undefined;
  const special = [begin, end].filter((each) => each !== undefined);
  if (special.length === 0) return null;
  const piece = (each: Token | undefined, type_id: number): Json[] =>
    each === undefined ? [] : [{ SpecialToken: { id: each.text, type_id } }];
  const around = (id: string, type_id: number): Json[] => [
    ...piece(begin, type_id),
    { Sequence: { id, type_id } },
    ...piece(end, type_id),
  ];
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(special.map(({ id, text }) => [text, { id: text, ids: [id], tokens: [text] }])),
  };
}

/** Names of special tokens, and of their keys. */
const NAMED = { bos_token: "bos", eos_token: "eos", unk_token: "unknown", pad_token: "padding" } as const;

const TEMPLATE = "tokenizer.chat_template";

function tokenizerConfig(metadata: GgufMetadata, tokens: readonly Token[]): Json {
  const named = Object.entries(NAMED).flatMap(([name, key]) => {
    const token = tokens[metadata.number(`tokenizer.ggml.${key}_token_id`) ?? -1];
    return token === undefined ? [] : [[name, token.text]];
  });
  const usual = metadata.text(TEMPLATE);
  const others = metadata
    .keysBelow(`${TEMPLATE}.`)
    .map((key) => ({ name: key.slice(TEMPLATE.length + 1), template: metadata.text(key) }));
  const all = usual === undefined ? others : [{ name: "default", template: usual }, ...others];
  const template = others.length > 0 ? all : usual;
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...Object.fromEntries(named),
    clean_up_tokenization_spaces: false,
    ...(template !== undefined && { chat_template: template }),
  };
}
