import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { exists, folderOf, isDirectory, joinPath, readText } from "#platform";
import { CheckpointError } from "../tensor/errors.js";
import { PRE_TOKEN_PATTERN } from "./byte-level.js";
import { BytePairEncoder, type BytePairModel } from "./byte-pair-encoder.js";

/** Tokens that end a text, by the habits of model families; tried in order where tokenizer_config.json names none. */
const END_OF_TEXT_TOKENS = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"];

/** Above this many UTF-16 units a pre-token goes to the library, whose merging is not quadratic. */
const MAX_FAST_WORD_LENGTH = 64;

/** What we use of a tokenizer_config.json; the rest is kept as it is. */
export interface TokenizerConfig {
  readonly eos_token?: string | { readonly content: string } | null;
  readonly clean_up_tokenization_spaces?: boolean;
}

/** A tokenizer.json at work. Encoding never adds special tokens; those that stand in the text are recognised. */
export class Tokenizer {
  /** The content of tokenizer_config.json. */
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
    this.#library = new HuggingFaceTokenizer(json, config);
    this.#addedTokens = [...this.#library.get_added_tokens_decoder().values()].map(({ content }) => content);
    this.#fastEncoder = BytePairEncoder.of(json as BytePairModel);
    let highest = -1;
    for (const id of this.#library.get_vocab().values()) highest = Math.max(highest, id);
    this.vocabSize = highest + 1;
  }

  /** @throws CheckpointError when the content is not that of a tokenizer.json. */
  static fromJson(tokenizerJson: object, tokenizerConfig: TokenizerConfig = {}): Tokenizer {
    try {
      return new Tokenizer(tokenizerJson, tokenizerConfig);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CheckpointError(`tokenizer.json: cannot build a tokenizer from its content: ${reason}`, { cause });
    }
  }

  /**
   * Reads tokenizer.json and, where present, tokenizer_config.json.
   * @param path a folder with these files, such as a Hugging Face model folder, or the tokenizer.json itself.
   * @throws CheckpointError when there is no tokenizer.json, or a file is not what its name says.
   */
  static async fromFolder(path: string): Promise<Tokenizer> {
    const folder = (await isDirectory(path)) ? path : folderOf(path);
    const jsonPath = folder === path ? joinPath(path, "tokenizer.json") : path;
    if (!(await exists(jsonPath))) {
      const remedy = "name a folder that has one, or make one with `highrank tokenizer train`";
      throw new CheckpointError(`${jsonPath}: there is no such file; ${remedy}`);
    }
    const configPath = joinPath(folder, "tokenizer_config.json");
    const config: TokenizerConfig = (await exists(configPath)) ? await readJsonObject(configPath) : {};
    const json = await readJsonObject(jsonPath);
    try {
      return Tokenizer.fromJson(json, config);
    } catch (cause) {
      throw new CheckpointError(`${jsonPath}: ${(cause as Error).message}`, { cause });
    }
  }

  /** The id after each document of a packed stream. @throws CheckpointError when the tokenizer names none. */
  get endOfTextId(): number {
    const { eos_token } = this.config;
    const named = typeof eos_token === "object" ? eos_token?.content : eos_token;
    for (const token of named === undefined ? END_OF_TEXT_TOKENS : [named]) {
      const id = this.#library.token_to_id(token);
      if (id !== undefined) return id;
    }
    const sought = named ?? END_OF_TEXT_TOKENS.join(", ");
    const remedy = "name one of its tokens as eos_token in tokenizer_config.json";
    throw new CheckpointError(`tokenizer: no token ends a text: ${sought} is not in the vocabulary; ${remedy}`);
  }

  encode(text: string): number[] {
    return this.#library.encode(text, { add_special_tokens: false }).ids;
  }

  /** All documents in one stream, `endOfTextId` after each; the ids are those of `encode`. */
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

  /** Ids beyond the vocabulary count for nothing; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: ArrayLike<number>, { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {}): string {
    if (ids.length === 0) return "";
    return this.#library.decode(Array.from(ids), {
      skip_special_tokens: skipSpecialTokens,
      clean_up_tokenization_spaces: this.config.clean_up_tokenization_spaces === true,
    });
  }

  /** The content of tokenizer.json, as it came. */
  toJson(): object {
    return this.#json;
  }
}

async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(await readText(path));
  } catch (cause) {
    throw new CheckpointError(`${path}: not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CheckpointError(`${path}: must hold one JSON object, got ${JSON.stringify(value)?.slice(0, 40)}`);
  }
  return value as Record<string, unknown>;
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
