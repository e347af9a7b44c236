import { DataError } from "../base/errors.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { SessionOptions } from "../runtime/session.js";
import type { Rng } from "../tensor/random.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { CachedDecoder } from "./cached-decoder.js";
import { Draft, type DraftOptions, ReadText } from "./draft.js";

/** Options for writing a text. */
export interface WritingOptions {
  readonly maxNewTokens: number;
  /** 0 is greedy. */
  readonly temperature: number;
  /** Sample from the k likeliest tokens; null for all. */
  readonly topK: number | null;
  /** Sample from the likeliest tokens that hold this share of the probability; 1 for all. */
  readonly topP: number;
  readonly seed: number;
  /** Texts that end the generation and are not part of what it gives; none of them empty. Default: none. */
  readonly stop?: readonly string[];
  /** Hears each piece of text as soon as it is whole characters; together they are `text`. */
  readonly onText?: (piece: string) => void;
  /** Ends the generation before its next token; its reason is thrown. */
  readonly signal?: AbortSignal;
}

/** The text that follows a prompt, and why it ended. */
export interface Answer {
  readonly text: string;
  /** Tokens written. */
  readonly tokens: number;
  readonly finish: "end-of-text" | "length" | "stop";
  /** Tokens of the prompt, with what a text begins with. */
  readonly promptTokens: number;
  /** Tokens that the model sees at most. */
  readonly contextTokens: number;
  /** Times that the text had filled the context and went on from its last half. */
  readonly contextRestarts: number;
}

/** An answer with the time that it took. */
export interface Generation extends Answer {
  /** Milliseconds for each token of the prompt that was read; null where none was. */
  readonly msPerPromptToken: number | null;
  /** Milliseconds for each token after the first, from one to the next; null where there is none. */
  readonly msPerToken: number | null;
}

export interface TextOptions extends DraftOptions {
  /** Ends the generation before its next token; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes text with a model, whose keys and values of the text so far are kept. When the text has filled the model's
 * context, it goes on from the last half of it, as if it began there.
 */
export class TextGenerator {
  readonly #vocabSize: number;
  readonly #tokenizer: Tokenizer;
  readonly #decoder: CachedDecoder;
  readonly #endIds: ReadonlySet<number>;
  readonly #beginId: number | null;
  readonly #contextTokens: number;
  #read: ReadText;

  /**
   * Must be released. Later changes of the model's structure are not seen.
   * @param endIds tokens that end a text, and are not part of it. Default: the tokenizer's end of text.
   * @param beginId begins an empty text if the tokenizer puts nothing in front of texts. Default: the tokenizer's
   * beginning of text, or else its end of text, after which documents begin in training.
   */
  constructor(
    model: CausalLM,
    tokenizer: Tokenizer,
    options: SessionOptions,
    endIds: Iterable<number> = [tokenizer.endOfTextId],
    beginId: number | null = tokenizer.findBeginOfText() ?? tokenizer.findEndOfText() ?? null,
  ) {
    this.#vocabSize = model.config.vocabSize;
    this.#contextTokens = model.config.maxSequenceLength;
    this.#tokenizer = tokenizer;
    this.#decoder = new CachedDecoder(model, options);
    this.#read = new ReadText(this.#decoder, this.#contextTokens);
    this.#endIds = new Set(endIds);
    this.#beginId = beginId;
  }

  /**
   * Continues `prompt`, a text or tokens, or an empty text as if a document begins. Sees the parameters as they are
   * now.
   * @param endIds more tokens that end this text.
   * @throws ConfigError as `Tokenizer.encodePrompt`.
   */
  async generate(
    prompt: string | readonly number[],
    options: TextOptions,
    rng: Rng,
    endIds: readonly number[] = [],
  ): Promise<Generation> {
    this.#forget();
    const ids = typeof prompt === "string" ? this.#tokenizer.encodePrompt(prompt, this.#beginId) : prompt;
    return this.continueTokens(ids, options, rng, endIds);
  }

  /**
   * Continues tokens. Where they begin with all that the last call read and wrote, that is not computed again: the
   * parameters must not have changed since.
   * @param endIds more tokens that end this text.
   * @throws DataError for tokens that the model does not have.
   */
  async continueTokens(
    prompt: readonly number[],
    options: TextOptions,
    rng: Rng,
    endIds: readonly number[] = [],
  ): Promise<Generation> {
    requireVocabulary(prompt, this.#vocabSize);
    const { maxNewTokens, signal } = options;
    const draft = new Draft(this.#tokenizer, options, rng, (id) => this.#endIds.has(id) || endIds.includes(id));
    const unread = this.#unread(prompt);
    if (maxNewTokens > 0) await this.#decoder.prepare(unread.length);
    const clock = new Clock();
    let next: readonly number[] | undefined = maxNewTokens > 0 ? unread : undefined;
    while (next !== undefined) {
      signal?.throwIfAborted();
      const [logits] = await this.#decoder.readRows([this.#read.add(next)]);
      if (clock.tick() === 1) {
        await this.#decoder.prepare(1);
        clock.skip();
      }
      const token = draft.choose(logits!);
      next = token === undefined ? undefined : [token];
    }
    return {
      ...answerOf(draft, this.#read, { promptTokens: prompt.length, contextTokens: this.#contextTokens }),
      msPerPromptToken: clock.ticks === 0 ? null : clock.firstMs / unread.length,
      msPerToken: clock.ticks < 2 ? null : clock.otherMs / (clock.ticks - 1),
    };
  }

  release(): Promise<void> {
    return this.#decoder.release();
  }

  #forget(): void {
    this.#read = new ReadText(this.#decoder, this.#contextTokens);
  }

  /**
   * The part of the prompt that is not in the cache, which is emptied where it holds anything else. At least one
   * token.
   */
  #unread(prompt: readonly number[]): readonly number[] {
    const rest = this.#read.restOf(prompt);
    if (rest === undefined) this.#forget();
    return rest ?? prompt;
  }
}

/** The answer that a text which has ended is. */
export function answerOf(
  { text, tokens, finish }: Draft,
  { restarts }: ReadText,
  sizes: Pick<Answer, "promptTokens" | "contextTokens">,
): Answer {
  return { text, tokens, finish, ...sizes, contextRestarts: restarts };
}

/** Times the first token apart from the others. */
class Clock {
  ticks = 0;
  firstMs = 0;
  otherMs = 0;
  #last: number = performance.now();

  /** Counts a token, and returns how many there are. */
  tick(): number {
    const now = performance.now();
    if (this.ticks === 0) this.firstMs = now - this.#last;
    else this.otherMs += now - this.#last;
    this.#last = now;
    return ++this.ticks;
  }

  /** Leaves out the time since the last tick. */
  skip(): void {
    this.#last = performance.now();
  }
}

/** @throws DataError for ids that the embedding table has no row for. */
export function requireVocabulary(ids: readonly number[], vocabSize: number): void {
  const id = ids.find((each) => each >= vocabSize);
  if (id === undefined) return;
  throw new DataError(`the prompt has token ${id}, but the model has ${vocabSize}: its tokenizer is another model's`);
}
