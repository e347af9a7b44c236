import { exists, folderOf, isDirectory, pathInside, readText, withTimeLimit } from "#platform";
import { withRoom } from "../base/arrays.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { MAX_JSON_BYTES, parseJsonObject, shownValue } from "../base/json.js";
import { cleanedUp } from "./decoders.js";
import { contentOf, legacyFiles, namedTokens, withConfigTokens, withLegacyFiles } from "./outside-tokens.js";
import { TokenizerPipeline } from "./pipeline.js";
import type { Surround } from "./post-processors.js";
import { templatesBeside } from "./stored-templates.js";

/** Tokens that end a text in common model families, tried in order if tokenizer_config.json names none. */
const END_OF_TEXT_TOKENS = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"];

/** Seconds for a call that runs patterns of the file, some per character: they may backtrack without end. */
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
  /** Added tokens by id. */
  readonly added_tokens_decoder?: unknown;
  /** A list of more special tokens, or an object of named ones. */
  readonly extra_special_tokens?: unknown;
  /** The older name of the list. */
  readonly additional_special_tokens?: unknown;
  readonly model_specific_special_tokens?: unknown;
  /** A Jinja template, or several by name. */
  readonly chat_template?: unknown;
}

interface Parts {
  readonly json: object;
  readonly config: TokenizerConfig;
  readonly pipeline: TokenizerPipeline;
  readonly storedVocabSize: number;
  readonly surrounds: boolean;
  readonly newTokens?: readonly string[];
}

/** What a tokenizer is made of, which can be copied between threads. */
export interface TokenizerContent {
  readonly json: object;
  readonly config: TokenizerConfig;
  readonly surrounds: boolean;
}

/** A tokenizer.json ready for use. Encoding never adds special tokens; those in the text are recognised. */
export class Tokenizer {
  /** Content of tokenizer_config.json, with the tokens of older files beside it. */
  readonly config: TokenizerConfig;
  /** One more than the highest id: the number of rows that an embedding needs. */
  readonly vocabSize: number;
  /** The same without tokens that nothing but a name such as `pad_token` brings: a model may do without their rows. */
  readonly storedVocabSize: number;
  /** Special tokens that `withTokens` has added to those of its files. */
  readonly newTokens: readonly string[];
  readonly #json: object;
  readonly #pipeline: TokenizerPipeline;
  /** False for a tokenizer of a run that began before what it puts around texts counted. */
  readonly #surrounds: boolean;

  private constructor(parts: Parts) {
    this.config = parts.config;
    this.storedVocabSize = parts.storedVocabSize;
    this.newTokens = parts.newTokens ?? [];
    this.vocabSize = parts.pipeline.vocabSize;
    this.#json = parts.json;
    this.#pipeline = parts.pipeline;
    this.#surrounds = parts.surrounds;
  }

  static #of(json: object, config: TokenizerConfig): Tokenizer {
    const { added_tokens: stored = [], ...rest } = json as { added_tokens?: unknown };
    if (!Array.isArray(stored)) throw new CheckpointError(`added_tokens must be a list, not ${shownValue(stored)}`);
    const { added, named } = withConfigTokens(stored, config);
    const pipeline = new TokenizerPipeline({ ...rest, added_tokens: [...added, ...named] });
    const isWhole = added.length + named.length === stored.length;
    return new Tokenizer({
      json: isWhole ? json : { ...json, added_tokens: pipeline.storedTokens },
      config,
      pipeline,
      storedVocabSize: pipeline.rowsWithout(named),
      surrounds: true,
    });
  }

  /**
   * @param tokenizerConfig may name tokens that the tokenizer.json lacks, as in transformers.
   * @throws CheckpointError if the content is not that of a tokenizer.json.
   */
  static fromJson(tokenizerJson: object, tokenizerConfig: TokenizerConfig = {}): Tokenizer {
    try {
      return Tokenizer.#of(tokenizerJson, tokenizerConfig);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CheckpointError(`tokenizer.json: cannot build a tokenizer from its content: ${reason}`, { cause });
    }
  }

  /**
   * Reads tokenizer.json and, if present, tokenizer_config.json, the files of chat templates, special_tokens_map.json
   * and added_tokens.json, which become part of the config.
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
    const json = await readJsonObject(jsonPath);
    const added = Array.isArray(json.added_tokens) ? json.added_tokens : [];
    const config = withLegacyFiles(stored, await legacyFiles(folder, readJsonObject), added);
    try {
      return Tokenizer.fromJson(json, template === undefined ? config : { ...config, chat_template: template });
    } catch (cause) {
      throw new CheckpointError(`${jsonPath}: ${(cause as Error).message}`, { cause });
    }
  }

  /** The same tokenizer with another chat template in its config. */
  withChatTemplate(template: string): Tokenizer {
    return this.#with({ config: { ...this.config, chat_template: template } });
  }

  /**
   * The same tokenizer as runs before `addSpecialTokens` used it: nothing stands around texts to train on, and texts
   * that are generated begin with what the tokenizer puts there, or else after an end of text.
   */
  withoutSurround(): Tokenizer {
    return this.#with({ surrounds: false });
  }

  /** The same tokenizer with these special tokens; those that it lacks get the next ids. */
  withTokens(contents: readonly string[]): Tokenizer {
    const known = new Set([...this.#pipeline.addedTokens.values()].map(({ content }) => content));
    const newTokens = contents.filter((content) => !known.has(content));
    if (newTokens.length === 0) return this;
    const { added_tokens: stored = [] } = this.#json as { added_tokens?: readonly object[] };
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    const added = [...stored, ...newTokens.map((content) => ({ content, ...flags }))];
    const pipeline = new TokenizerPipeline({ ...this.#json, added_tokens: added });
    const json = { ...this.#json, added_tokens: pipeline.storedTokens };
    return this.#with({ json, pipeline, storedVocabSize: pipeline.vocabSize, newTokens });
  }

  #with(change: Partial<Parts>): Tokenizer {
    const { config, storedVocabSize, newTokens } = this;
    const own = { json: this.#json, pipeline: this.#pipeline, surrounds: this.#surrounds };
    const parts = { ...own, config, storedVocabSize, newTokens };
    return new Tokenizer({ ...parts, ...change });
  }

  /** True if the text ends in one of the added tokens, such as those that end a turn. */
  endsInAddedToken(text: string): boolean {
    return [...this.#pipeline.addedTokens.values()].some(({ content }) => text.endsWith(content));
  }

  /** The added token that the text begins with; undefined if it does not. */
  addedTokenAt(text: string): number | undefined {
    const beginnings = [...this.#pipeline.addedTokens].filter(([, { content }]) => text.startsWith(content));
    return beginnings.sort(([, a], [, b]) => b.content.length - a.content.length)[0]?.[0];
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
    const ids = (named === undefined ? END_OF_TEXT_TOKENS : [named]).map((token) => this.#pipeline.idOf(token));
    return ids.find((id) => id !== undefined);
  }

  get #endOfTextName(): string | undefined {
    const { eos_token } = this.config;
    const named = typeof eos_token === "object" ? eos_token?.content : eos_token;
    if (named === undefined || typeof named === "string") return named;
    throw new CheckpointError(`tokenizer_config.json: eos_token must be a text, not ${shownValue(named)}`);
  }

  /** The id of its `bos_token`; undefined if it names none that it has. */
  findBeginOfText(): number | undefined {
    const named = contentOf(this.config.bos_token);
    return named === undefined ? undefined : this.#pipeline.idOf(named);
  }

  /** The tokens that have names, such as `bos_token`, which chat templates see by these. */
  get namedTokens(): ReadonlyMap<string, string> {
    return new Map([...namedTokens(this.config)].map(([name, token]) => [name, contentOf(token)!]));
  }

  /** The tokens that stand around each text, such as `<s>` in front; many tokenizers put none there. */
  get surround(): Surround {
    return this.#surrounds ? this.#pipeline.surround : { before: [], after: [] };
  }

  /**
   * Encodes a text that is to be continued, with what stands in front of it.
   * @param beginId begins an empty text in front of which nothing stands.
   * @throws ConfigError for such a text if that is null.
   */
  encodePrompt(text: string, beginId: number | null): number[] {
    const ids = [...this.#front, ...this.encode(text)];
    if (ids.length > 0) return ids;
    if (beginId !== null) return [beginId];
    throw new ConfigError(
      "the prompt is empty, the tokenizer puts nothing in front of a text, and neither generation_config.json " +
        "(bos_token_id) nor tokenizer_config.json (bos_token) says what begins one; give a prompt",
    );
  }

  get #front(): readonly number[] {
    const { before } = this.#pipeline.surround;
    return this.#surrounds || before.length > 0 ? before : [this.endOfTextId];
  }

  /**
   * Characters that no token stands for are left out, as in the library tokenizers, where the model has none for the
   * unknown.
   * @throws CheckpointError if the file's patterns do not come to an end.
   */
  encode(text: string): number[] {
    return this.#call("encode", text.length, () => this.#pipeline.encode(text));
  }

  /** Turns failures on malformed files into our own errors. */
  #call<T>(verb: string, characters: number, call: () => T): T {
    try {
      if (!this.#pipeline.isForeign) return call();
      return withTimeLimit(TIME_LIMIT.call + TIME_LIMIT.character * characters, call);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CheckpointError(
        `tokenizer.json: cannot ${verb} a text of ${characters} characters: ${reason}; use another tokenizer`,
        { cause },
      );
    }
  }

  /**
   * Encodes all documents into one stream, with `endOfTextId` after each. What the tokenizer puts in front of a text
   * stands before each, unless it is the end of the text before.
   */
  encodeDocuments(documents: Iterable<string>): Int32Array<ArrayBuffer> {
    const endOfText = this.endOfTextId;
    const { before, after } = this.surround;
    const front = before.at(-1) === endOfText ? [] : before;
    const end = after.at(-1) === endOfText ? after : [...after, endOfText];
    const stream = new GrowingInt32Array();
    for (const some of batches(documents)) {
      const encoded = this.#call("encode", some.length, () => some.texts.map((text) => this.#pipeline.encode(text)));
      for (const own of encoded) for (const ids of [front, own, end]) stream.append(ids);
    }
    return stream.toArray();
  }

  /**
   * Decodes ids. Those beyond the vocabulary are ignored; bytes that are not UTF-8 become U+FFFD.
   * @param options.cleanUpSpaces true drops spaces before punctuation, but never for byte-pair encoding, which has none
   * to drop. Default: as set in tokenizer_config.json.
   */
  decode(
    ids: ArrayLike<number>,
    {
      skipSpecialTokens = false,
      cleanUpSpaces = this.config.clean_up_tokenization_spaces === true,
    }: { skipSpecialTokens?: boolean; cleanUpSpaces?: boolean } = {},
  ): string {
    const decode = (): string => this.#pipeline.decode(Array.from(ids), skipSpecialTokens);
    const text = this.#call("decode", ids.length, decode);
    return cleanUpSpaces && !this.#pipeline.model.isBytePairs ? cleanedUp(text) : text;
  }

  /** What encodes the same in another thread, given to `ofContent`. */
  get content(): TokenizerContent {
    return { json: this.#json, config: this.config, surrounds: this.#surrounds };
  }

  static ofContent({ json, config, surrounds }: TokenizerContent): Tokenizer {
    const tokenizer = Tokenizer.fromJson(json, config);
    return surrounds ? tokenizer : tokenizer.withoutSurround();
  }

  /** The content of tokenizer.json, with the tokens that its folder has elsewhere. */
  toJson(): object {
    return this.#json;
  }
}

async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  return parseJsonObject(await readText(path, { maxBytes: MAX_JSON_BYTES }), path);
}

/** Characters of texts that share a time limit, each of which costs as much as a few hundred characters. */
const BATCH_LENGTH = 2 ** 16;

/** Texts in batches, and the characters of each batch. */
function* batches(
  documents: Iterable<string>,
): Generator<{ readonly texts: readonly string[]; readonly length: number }> {
  let texts: string[] = [];
  let length = 0;
  for (const text of documents) {
    texts.push(text);
    length += text.length;
    if (length < BATCH_LENGTH) continue;
    yield { texts, length };
    [texts, length] = [[], 0];
  }
  yield { texts, length };
}

class GrowingInt32Array {
  #data: Int32Array<ArrayBuffer> = new Int32Array(2 ** 16);
  #length = 0;

  append(values: readonly number[]): void {
    this.#data = withRoom(this.#data, this.#length + values.length);
    for (const value of values) this.#data[this.#length++] = value;
  }

  toArray(): Int32Array<ArrayBuffer> {
    return this.#data.slice(0, this.#length);
  }
}
