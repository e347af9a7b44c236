import { isObject, shownValue } from "../base/json.js";
import { type AddedToken, AddedTokens, addedTokenOf, writtenForm } from "./added-tokens.js";
import { toByteCharacters } from "./byte-level.js";
import { type Decoder, decoderOf } from "./decoders.js";
import { normalizerOf } from "./normalizers.js";
import { type Part, partOf, requireFewParts } from "./part.js";
import { PieceTokens } from "./piece-tokens.js";
import { type Surround, surroundOf } from "./post-processors.js";
import { type PieceSink, type PreTokenizer, preTokenizerOf } from "./pre-tokenizers.js";
import { MAX_VOCAB_SIZE, type TokenModel } from "./token-model.js";
import { tokenModelOf } from "./token-models.js";

/**
 * A tokenizer.json at work, with the ids and texts of the library tokenizers 0.23: a text is split at added tokens,
 * normalized, split into pieces, and these into tokens.
 */
export class TokenizerPipeline {
  readonly model: TokenModel;
  /** The tokens that stand around each text. */
  readonly surround: Surround;
  /** True if a text may run a regular expression of the file, which may backtrack without end. */
  readonly isForeign: boolean;
  /** By id. */
  readonly addedTokens: ReadonlyMap<number, AddedToken>;
  readonly #ids: ReadonlyMap<string, number>;
  /** Texts that ids stand for. */
  readonly #tokens: ReadonlyMap<number, string>;
  readonly #special: ReadonlySet<string>;
  readonly #finder: AddedTokens;
  readonly #preTokenizer: PreTokenizer | null;
  readonly #pieces: PieceTokens;
  readonly #decoder: Decoder | null;

  /** @throws Error for content that is not that of a tokenizer.json, or that names a part that is not known. */
  constructor(json: Part) {
    for (const name of ["normalizer", "pre_tokenizer", "post_processor", "decoder"]) requireFewParts(json[name], name);
    const normalizer = normalizerOf(partOf(json.normalizer, "normalizer"));
    this.#preTokenizer = preTokenizerOf(partOf(json.pre_tokenizer, "pre_tokenizer"));
    this.model = tokenModelOf(partOf(json.model, "model"));
    const isOfBytes = this.#preTokenizer?.isOfBytes === true;
    this.#pieces = new PieceTokens((piece) => this.model.encode(isOfBytes ? toByteCharacters(piece) : piece));
    this.surround = surroundOf(partOf(json.post_processor, "post_processor"));
    this.#decoder = decoderOf(partOf(json.decoder, "decoder"));
    const { vocab } = this.model;
    this.addedTokens = withIds(json.added_tokens ?? [], vocab);
    this.#finder = new AddedTokens(this.addedTokens, normalizer);
    this.#tokens = new Map([
      ...tokensById(vocab, this.addedTokens),
      ...[...this.addedTokens].map(([id, token]) => [id, writtenForm(token, normalizer)] as const),
    ]);
    const special = [...this.addedTokens.values()].filter((token) => token.special);
    this.#special = new Set(special.map(({ content }) => content));
    for (const id of [...this.surround.before, ...this.surround.after]) {
      if (!this.#tokens.has(id))
        throw new Error(`post_processor puts id ${id} around texts, which is that of no token`);
    }
    this.#ids = new Map([...this.addedTokens].map(([id, { content }]) => [content, id]));
    this.isForeign = this.#preTokenizer?.isForeign === true || hasRegex(json.normalizer) || hasRegex(json.decoder);
  }

  /** One more than the highest id. */
  get vocabSize(): number {
    return this.rowsWithout([]);
  }

  /** One more than the highest id among those of the vocabulary and all added tokens but these. */
  rowsWithout(tokens: readonly { readonly content: string }[]): number {
    const left = new Set(tokens.map(({ content }) => content));
    let highest = -1;
    for (const id of this.model.vocab.values()) highest = Math.max(highest, id);
    for (const [id, { content }] of this.addedTokens) if (!left.has(content)) highest = Math.max(highest, id);
    return highest + 1;
  }

  /** `added_tokens` as they stand in a tokenizer.json. */
  get storedTokens(): object[] {
    const sorted = [...this.addedTokens].sort(([a], [b]) => a - b);
    return sorted.map(([id, { content, singleWord, lstrip, rstrip, normalized, special }]) => {
      return { id, content, single_word: singleWord, lstrip, rstrip, normalized, special };
    });
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token) ?? this.model.vocab.get(token);
  }

  /** @throws Error for a piece that has no token. */
  encode(text: string): number[] {
    const ids: number[] = [];
    const take: PieceSink = (piece, start, end) => {
      if (end > start) this.#pieces.encode(piece, start, end, ids);
    };
    for (const section of this.#finder.sections(text.toWellFormed())) {
      if ("id" in section) ids.push(section.id);
      else if (this.#preTokenizer === null) take(section.text, 0, section.text.length, section.isFirst);
      else this.#preTokenizer.split(section.text, section.isFirst, take);
    }
    return ids;
  }

  /** Ids beyond the vocabulary are ignored. As in tokenizers, ids are special whose text is that of such a token. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string {
    const tokens: string[] = [];
    for (const id of ids) {
      const token = this.#tokens.get(id);
      if (token !== undefined && !(skipSpecialTokens && this.#special.has(token))) tokens.push(token);
    }
    return this.#decoder === null ? tokens.join(" ") : this.#decoder(tokens).join("");
  }
}

/** @throws Error if two tokens have the same id: which of them it stands for would be a matter of chance. */
function tokensById(
  vocab: ReadonlyMap<string, number>,
  addedTokens: ReadonlyMap<number, AddedToken>,
): Map<number, string> {
  const tokens = new Map<number, string>();
  const add = (id: number, token: string): void => {
    const other = tokens.get(id);
    if (other !== undefined && other !== token) {
      throw new Error(
        `${shownValue(other)} and ${shownValue(token)} have the same id, ${id}; each token needs its own`,
      );
    }
    tokens.set(id, token);
  };
  for (const [token, id] of vocab) add(id, token);
  for (const [id, { content }] of addedTokens) add(id, content);
  return tokens;
}

/**
 * Gives added tokens their ids: that of the vocabulary, or else the next beyond it. The same token again takes the
 * place of the one before.
 * @throws Error for what is no token, for an empty one with an `id`, and for a token whose `id` says otherwise.
 */
function withIds(given: unknown, vocab: ReadonlyMap<string, number>): Map<number, AddedToken> {
  if (!Array.isArray(given)) throw new Error(`added_tokens must be a list, not ${shownValue(given)}`);
  const tokens = new Map<number, AddedToken>();
  const ids = new Map<string, number>();
  let next = vocab.size;
  for (const entry of given as readonly unknown[]) {
    const token = addedTokenOf(entry);
    const said = isObject(entry) ? entry.id : undefined;
    if (token.content === "") {
      if (said === undefined) continue;
      throw new Error(`the added token with id ${shownValue(said)} is empty; a text has it nowhere, so leave it out`);
    }
    const id = vocab.get(token.content) ?? ids.get(token.content) ?? next;
    if (said !== undefined && said !== id) {
      throw new Error(
        `the id of ${shownValue(token.content)} must be ${id}, the one of the vocabulary or the next, ` +
          `not ${shownValue(said)}`,
      );
    }
    if (id === next) next++;
    ids.set(token.content, id);
    tokens.set(id, token);
  }
  if (vocab.size + tokens.size === 0) throw new Error("the vocabulary is empty");
  if (next > MAX_VOCAB_SIZE) throw new Error(`there must be at most ${MAX_VOCAB_SIZE} tokens, not ${next}`);
  return tokens;
}

function hasRegex(part: unknown): boolean {
  return JSON.stringify(part ?? null).includes('"Regex"');
}
