import { ConfigError } from "../base/errors.js";
import { isObject, shownValue } from "../base/json.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { namedSpaces, namedSplitting } from "./pre-tokenizers.js";
import { type GgufItem, type GgufValue, type GgufValueType, GGUF_TOKEN_KINDS as KINDS } from "./types.js";

type Json = Readonly<Record<string, unknown>>;

/** A token of the model's vocabulary, by its id. */
interface Token {
  readonly text: string;
  readonly kind: number;
}

/**
 * The keys of a GGUF file for a tokenizer.
 * @param rows of the model's embedding table. Those without a token get one that no text has.
 * @param endIds tokens that end a generated text.
 * @throws ConfigError for a tokenizer that llama.cpp does not have.
 */
export function ggufTokenizerOf(tokenizer: Tokenizer, rows: number, endIds: readonly number[]): Map<string, GgufValue> {
  const json = tokenizer.toJson() as Json;
  const model = isObject(json.model) ? json.model : {};
  const { vocab, merges } = bytePairs(model);
  const isByteLevel = model.byte_fallback !== true;
  const tokens = tokensOf(json, vocab, rows, isByteLevel ? null : model.unk_token);
  const keys = new Map<string, GgufValue>();
  const list = (key: string, of: GgufValueType, items: readonly GgufItem[]): void =>
    void keys.set(`tokenizer.ggml.${key}`, { type: "array", of, count: items.length, items });
  const text = (key: string, value: string): void => void keys.set(`tokenizer.ggml.${key}`, { type: "string", value });
  const flag = (key: string, value: boolean): void => void keys.set(`tokenizer.ggml.${key}`, { type: "bool", value });

  text("model", isByteLevel ? "gpt2" : "llama");
  text("pre", isByteLevel ? splittingOf(json, model.ignore_merges === true) : "default");
  list(
    "tokens",
    "string",
    tokens.map((token) => token.text),
  );
  list(
    "token_type",
    "int32",
    tokens.map(({ kind }) => kind),
  );
  if (isByteLevel) {
    list(
      "merges",
      "string",
      merges.map(([left, right]) => `${left} ${right}`),
    );
  } else list("scores", "float32", scoresOf(tokens, merges));
  writeSpecial(tokenizer, vocab, tokens, endIds, keys);
  const { before, after } = tokenizer.surround;
  const [bos, eos] = ["bos", "eos"].map((name) => keys.get(`tokenizer.ggml.${name}_token_id`));
  requireSurround(before, bos, "in front of");
  requireSurround(after, eos, "behind");
  flag("add_bos_token", before.length > 0);
  flag("add_eos_token", after.length > 0);
  if (!isByteLevel) flag("add_space_prefix", addsSpace(json));
  for (const [key, value] of templatesOf(tokenizer)) keys.set(key, value);
  return keys;
}

/** Sentences on what a GGUF file does not say of a tokenizer that it holds otherwise. */
export function ggufTokenizerNotices(tokenizer: Tokenizer): string[] {
  const { added_tokens: added, normalizer, pre_tokenizer: preTokenizer } = tokenizer.toJson() as Json;
  const tokens = (Array.isArray(added) ? added : []) as readonly AddedToken[];
  const set = tokens.filter((token) => token.single_word || token.lstrip || token.rstrip);
  const names = set.slice(0, 4).map(({ content }) => shownValue(content));
  return [
    ...(set.length === 0
      ? []
      : [
          `A GGUF file has no single_word, lstrip and rstrip of added tokens: ${names.join(", ")}` +
            `${set.length > names.length ? " and others" : ""} may be found where the tokenizer does not find them, ` +
            "and keep spaces around them.",
        ]),
    ...(namedSpaces(normalizer, preTokenizer) === "almost prefixed"
      ? [
          "llama.cpp puts a space in front of each text, and of what follows an added token; this tokenizer does not " +
            "where a text begins with a space, nor, with prepend_scheme first, after added tokens.",
        ]
      : []),
  ];
}

interface AddedToken {
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

function bytePairs(model: Json): {
  vocab: ReadonlyMap<string, number>;
  merges: readonly (readonly [string, string])[];
} {
  const { type, vocab, merges } = model;
  if (type !== "BPE" || !isObject(vocab) || !Array.isArray(merges)) {
    throw new ConfigError("a GGUF file holds tokenizers of byte-pair encoding alone; export the model as hf or onnx");
  }
  const pairs = merges.map((merge: unknown): [string, string] => {
    if (Array.isArray(merge)) return [String(merge[0]), String(merge[1])];
    const space = String(merge).indexOf(" ", 1);
    return [String(merge).slice(0, space), String(merge).slice(space + 1)];
  });
  return { vocab: new Map(Object.entries(vocab as Record<string, number>)), merges: pairs };
}

function splittingOf(json: Json, ignoreMerges: boolean): string {
  const name = namedSplitting(json.normalizer, json.pre_tokenizer, ignoreMerges);
  if (name !== undefined) return name;
  throw new ConfigError(
    "llama.cpp knows no way of taking texts apart that is this tokenizer's (tokenizer.json: pre_tokenizer); " +
      "export the model as hf or onnx",
  );
}

/**
 * True if a text begins with a space of its own, as SentencePiece has it.
 * @throws ConfigError for what writes spaces otherwise than as "▁", or does more.
 */
function addsSpace({ normalizer, pre_tokenizer: preTokenizer }: Json): boolean {
  const way = namedSpaces(normalizer, preTokenizer);
  if (way !== undefined) return way !== "plain";
  throw new ConfigError(
    "llama.cpp writes each space as ▁ and does nothing else to a text of SentencePiece, which this tokenizer does " +
      "(tokenizer.json: normalizer, pre_tokenizer); export the model as hf or onnx",
  );
}

function tokensOf(json: Json, vocab: ReadonlyMap<string, number>, rows: number, unknown: unknown): Token[] {
  const tokens = Array.from({ length: rows }, (_, id): Token => ({ text: `[PAD${id}]`, kind: KINDS.unused }));
  const put = (id: number, token: Token): void => {
    if (id < rows) tokens[id] = token;
    else throw new ConfigError(`the token "${token.text}" has the id ${id}, and the model has ${rows} rows`);
  };
  for (const [text, id] of vocab) {
    const isByte = unknown !== null && /^<0x[0-9A-F]{2}>$/.test(text);
    put(id, { text, kind: isByte ? KINDS.byte : KINDS.normal });
  }
  const added = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  for (const { id, content, special } of added as readonly { id: number; content: string; special: boolean }[]) {
    const kind = content === unknown ? KINDS.unknown : special ? KINDS.control : KINDS.userDefined;
    put(id, { text: content, kind });
  }
  return tokens;
}

/** Scores with which SentencePiece makes the tokens in the order of the merges. */
function scoresOf(tokens: readonly Token[], merges: readonly (readonly [string, string])[]): number[] {
  const ranks = new Map<string, number>();
  for (const [rank, [left, right]] of merges.entries()) {
    const made = left + right;
    if (!ranks.has(made)) ranks.set(made, rank);
  }
  return tokens.map(({ text }) => -(ranks.get(text) ?? 0));
}

/** Names of special tokens in tokenizer_config.json, and of their keys. */
const NAMED = { bos_token: "bos", eos_token: "eos", unk_token: "unknown", pad_token: "padding" } as const;

function writeSpecial(
  tokenizer: Tokenizer,
  vocab: ReadonlyMap<string, number>,
  tokens: readonly Token[],
  endIds: readonly number[],
  keys: Map<string, GgufValue>,
): void {
  const put = (key: string, value: number): void =>
    void keys.set(`tokenizer.ggml.${key}_token_id`, { type: "uint32", value });
  const names = tokenizer.namedTokens;
  for (const [name, key] of Object.entries(NAMED)) {
    const text = names.get(name);
    if (text === undefined) continue;
    const added = tokens.findIndex((token) => token.text === text && token.kind !== KINDS.normal);
    const id = added >= 0 ? added : vocab.get(text);
    if (id !== undefined) put(key, id);
  }
  const endOfText = tokenizer.findEndOfText();
  if (!keys.has("tokenizer.ggml.eos_token_id") && endOfText !== undefined) put("eos", endOfText);
  const { value: eos } = (keys.get("tokenizer.ggml.eos_token_id") ?? {}) as { value?: unknown };
  const [endOfTurn] = endIds.filter((id) => id !== eos);
  if (endOfTurn !== undefined) put("eot", endOfTurn);
}

function requireSurround(ids: readonly number[], own: GgufValue | undefined, where: string): void {
  if (ids.length === 0) return;
  const is = own !== undefined && "value" in own ? own.value : undefined;
  if (ids.length === 1 && ids[0] === is) return;
  throw new ConfigError(
    `the tokenizer puts the tokens ${ids.join(", ")} ${where} each text, and llama.cpp at most one, the ` +
      `${where === "behind" ? "eos" : "bos"}_token; name it in tokenizer_config.json`,
  );
}

function templatesOf(tokenizer: Tokenizer): [key: string, value: GgufValue][] {
  const { chat_template: stored } = tokenizer.config;
  const text = (value: string): GgufValue => ({ type: "string", value });
  if (typeof stored === "string") return [["tokenizer.chat_template", text(stored)]];
  if (!Array.isArray(stored)) return [];
  return (stored as readonly { name: string; template: string }[]).map(({ name, template }) => [
    name === "default" ? "tokenizer.chat_template" : `tokenizer.chat_template.${name}`,
    text(template),
  ]);
}
