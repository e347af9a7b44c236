import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { exists, folderOf, isDirectory, pathInside, readText, withTimeLimit } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { isObject, MAX_JSON_BYTES, parseJsonObject, shownValue } from "../base/json.js";
import { PRE_TOKEN_PATTERN } from "./byte-level.js";
import { BytePairEncoder, type BytePairModel } from "./byte-pair-encoder.js";
import { templatesBeside } from "./chat-template.js";

/** Tokens that end a text in common model families, tried in order if tokenizer_config.json names none. */
const END_OF_TEXT_TOKENS = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"];

/** Longer pre-tokens, in UTF-16 units, go to the library, whose merging is not quadratic. */
const MAX_FAST_WORD_LENGTH = 64;

/** Ids must stay below this; otherwise a file of a few bytes could make arrays and embeddings of any size. */
const MAX_VOCAB_SIZE = 2 ** 22;

/** Seconds for one call to the library, plus some per character: a pattern in the file may backtrack without end. */
const TIME_LIMIT = { call: 10, character: 1e-4 } as const;

/** Keys of tokenizer_config.json that highrank uses; the rest is kept unchanged. */
export interface TokenizerConfig {
  readonly eos_token?: string | { readonly content: string } | null;
  readonly clean_up_tokenization_spaces?: boolean;
  readonly bos_token?: unknown;
  readonly unk_token?: unknown;
  readonly sep_token?: unknown;
  readonly pad_token?: unknown;
  readonly cls_token?: unknown;
  readonly mask_token?: unknown;
  /** A Jinja template, or several by name. */
  readonly chat_template?: unknown;
}

/** A tokenizer.json ready for use. Encoding never adds special tokens; those in the text are recognised. */
export class Tokenizer {
  /** Content of tokenizer_config.json. */
  readonly config: TokenizerConfig;
  /** One more than the highest id: the number of rows that an embedding needs. */
  readonly vocabSize: number;
  readonly #json: object;
  readonly #library: HuggingFaceTokenizer;
  readonly #addedTokens: readonly string[];
  readonly #fastEncoder: BytePairEncoder | undefined;

  private constructor(json: object, config: TokenizerConfig) {
    this.config = config;
    this.#json = json;
    requireIds(json);
    this.#library = withTimeLimit(TIME_LIMIT.call, () => new HuggingFaceTokenizer(json, config));
    this.#addedTokens = [...this.#library.get_added_tokens_decoder().values()].map(({ content }) => content);
    for (const token of this.#addedTokens) {
      if (typeof token !== "string")
        throw new CheckpointError(`an added token must be a text, not ${shownValue(token)}`);
    }
    let highest = -1;
    for (const [token, id] of this.#library.get_vocab()) {
      requireId(token, id);
      highest = Math.max(highest, id);
    }
    if (highest < 0) throw new CheckpointError("the vocabulary is empty");
    this.vocabSize = highest + 1;
    this.#fastEncoder = BytePairEncoder.of(json as BytePairModel);
  }

  /** @throws CheckpointError if the content is not that of a tokenizer.json. */
  static fromJson(tokenizerJson: object, tokenizerConfig: TokenizerConfig = {}): Tokenizer {
    try {
      return new Tokenizer(tokenizerJson, tokenizerConfig);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CheckpointError(`tokenizer.json: cannot build a tokenizer from its content: ${reason}`, { cause });
    }
  }

  /**
   * Reads tokenizer.json and, if present, tokenizer_config.json and the files of chat templates, which become part of
   * the config.
   * @param path a folder with these files, such as a Hugging Face model folder, or the tokenizer.json itself.
   * @throws CheckpointError if there is no tokenizer.json, or a file does not hold what its name says.
   */
  static async fromFolder(path: string): Promise<Tokenizer> {
    const isFolder = await isDirectory(path);
    const folder = isFolder ? path : folderOf(path);
    const jsonPath = isFolder ? await pathInside(folder, "tokenizer.json") : path;
    if (!(await exists(jsonPath))) {
      const remedy = "name a folder that has one, or make one with `highrank tokenizer train`";
      throw new CheckpointError(`${jsonPath}: there is no such file; ${remedy}`);
    }
    const configPath = await pathInside(folder, "tokenizer_config.json");
    const stored: TokenizerConfig = (await exists(configPath)) ? await readJsonObject(configPath) : {};
    const template = await templatesBeside(folder);
    const config = template === undefined ? stored : { ...stored, chat_template: template };
    const json = await readJsonObject(jsonPath);
    try {
      return Tokenizer.fromJson(json, config);
    } catch (cause) {
      throw new CheckpointError(`${jsonPath}: ${(cause as Error).message}`, { cause });
    }
  }

  /** The same tokenizer with another chat template in its config. */
  withChatTemplate(template: string): Tokenizer {
    return new Tokenizer(this.#json, { ...this.config, chat_template: template });
  }

  /** True if the text ends in one of the added tokens, such as those that end a turn. */
  endsInAddedToken(text: string): boolean {
    return this.#addedTokens.some((token) => token !== "" && text.endsWith(token));
  }

  /** The id after each document of a packed stream. @throws CheckpointError if the tokenizer names none. */
  get endOfTextId(): number {
    const id = this.findEndOfText();
    if (id !== undefined) return id;
    const sought = this.#endOfTextName ?? END_OF_TEXT_TOKENS.join(", ");
    const remedy = "name one of its tokens as eos_token in tokenizer_config.json";
    throw new CheckpointError(`tokenizer: no token ends a text: ${sought} is not in the vocabulary; ${remedy}`);
  }

  /** The same id; undefined if the tokenizer names none. @throws CheckpointError if its name is not a text. */
  findEndOfText(): number | undefined {
    const named = this.#endOfTextName;
    const ids = (named === undefined ? END_OF_TEXT_TOKENS : [named]).map((token) => this.#library.token_to_id(token));
    return ids.find((id) => isId(id, this.vocabSize));
  }

  get #endOfTextName(): string | undefined {
    const { eos_token } = this.config;
    const named = typeof eos_token === "object" ? eos_token?.content : eos_token;
    if (named === undefined || typeof named === "string") return named;
    throw new CheckpointError(`tokenizer_config.json: eos_token must be a text, not ${shownValue(named)}`);
  }

  /**
   * Ids at the start of a text: those that the tokenizer's own template puts there, such as `<s>`, or else the end of
   * text, after which documents begin.
   * @throws CheckpointError as `endOfTextId`.
   */
  get startIds(): readonly number[] {
    const probe = "a";
    const plain = this.encode(probe);
    const { ids } = this.#call("encode", probe.length, () => this.#library.encode(probe));
    const start = ids.findIndex((_: number, at: number) => plain.every((id, i) => ids[at + i] === id));
    return start > 0 && ids.every((id: unknown) => isId(id, this.vocabSize)) ? ids.slice(0, start) : [this.endOfTextId];
  }

  /** @throws CheckpointError if the tokenizer has no id for a part of the text, or does not come to an end. */
  encode(text: string): number[] {
    const { ids } = this.#call("encode", text.length, () => this.#library.encode(text, { add_special_tokens: false }));
    const fault = ids.findIndex((id: unknown) => !isId(id, this.vocabSize));
    if (fault < 0) return ids;
    throw new CheckpointError(`tokenizer.json: the vocabulary has no token for a part of ${shownValue(text)}`);
  }

  /** Calls the library and turns its failures on malformed files into our own errors. */
  #call<T>(verb: string, characters: number, call: () => T): T {
    try {
      return withTimeLimit(TIME_LIMIT.call + TIME_LIMIT.character * characters, call);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CheckpointError(
        `tokenizer.json: cannot ${verb} a text of ${characters} characters: ${reason}; use another tokenizer`,
        { cause },
      );
    }
  }

  /** Encodes all documents into one stream, with `endOfTextId` after each; the ids are those of `encode`. */
  encodeDocuments(documents: Iterable<string>): Int32Array {
    const endOfText = this.endOfTextId;
    const stream = new GrowingInt32Array();
    const known = new Map<string, readonly number[]>();
    for (const document of documents) {
      if (this.#fastEncoder === undefined || this.#addedTokens.some((token) => document.includes(token))) {
        stream.append(this.encode(document));
      } else {
        for (const word of document.match(PRE_TOKEN_PATTERN) ?? []) {
          stream.append(this.#encodeWord(word, this.#fastEncoder, known));
        }
      }
      stream.append([endOfText]);
    }
    return stream.toArray();
  }

  #encodeWord(word: string, encoder: BytePairEncoder, known: Map<string, readonly number[]>): readonly number[] {
    if (word.length > MAX_FAST_WORD_LENGTH) return this.encode(word);
    let ids = known.get(word);
    if (ids === undefined) {
      ids = encoder.encodeWord(word);
      known.set(word, ids);
    }
    return ids;
  }

  /**
   * Decodes ids. Those beyond the vocabulary are ignored; bytes that are not UTF-8 become U+FFFD.
   * @param options.cleanUpSpaces true drops spaces before punctuation. Default: as set in tokenizer_config.json.
   */
  decode(
    ids: ArrayLike<number>,
    {
      skipSpecialTokens = false,
      cleanUpSpaces = this.config.clean_up_tokenization_spaces === true,
    }: { skipSpecialTokens?: boolean; cleanUpSpaces?: boolean } = {},
  ): string {
    if (ids.length === 0) return "";
    return this.#call("decode", ids.length, () =>
      this.#library.decode(Array.from(ids), {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: cleanUpSpaces,
      }),
    );
  }

  /** The content of tokenizer.json, unchanged. */
  toJson(): object {
    return this.#json;
  }
}

/** Token ids in a well-formed tokenizer.json. */
interface TokenIds {
  readonly model?: { readonly vocab?: unknown } | null;
  readonly added_tokens?: unknown;
}

/** @throws CheckpointError for ids out of range, because the library would make arrays up to the highest. */
function requireIds({ model, added_tokens: added }: TokenIds): void {
  const vocab = model?.vocab;
  if (isObject(vocab)) {
    for (const [token, id] of Object.entries(vocab)) requireId(token, id);
  }
  for (const token of Array.isArray(added) ? added : []) requireId(token?.content, token?.id);
}

function requireId(token: unknown, id: unknown): void {
  if (isId(id, MAX_VOCAB_SIZE)) return;
  const rule = `an integer from 0 to ${MAX_VOCAB_SIZE - 1}`;
  throw new CheckpointError(`the id of ${shownValue(token)} must be ${rule}, not ${shownValue(id)}`);
}

function isId(value: unknown, vocabSize: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < vocabSize;
}

async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  return parseJsonObject(await readText(path, { maxBytes: MAX_JSON_BYTES }), path);
}

class GrowingInt32Array {
  #data: Int32Array = new Int32Array(2 ** 16);
  #length = 0;

  append(values: readonly number[]): void {
    if (this.#length + values.length > this.#data.length) {
      const grown = new Int32Array(2 * (this.#length + values.length));
      grown.set(this.#data);
      this.#data = grown;
    }
    for (const value of values) this.#data[this.#length++] = value;
  }

  toArray(): Int32Array {
    return this.#data.slice(0, this.#length);
  }
}
