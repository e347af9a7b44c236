import { DataError, NumericError } from "../base/errors.js";
import { append } from "../base/lists.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { SessionOptions } from "../runtime/session.js";
import type { Rng } from "../tensor/random.js";
import { StopTexts } from "../tokenizers/stop-texts.js";
import { TextStream } from "../tokenizers/text-stream.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { CachedDecoder } from "./cached-decoder.js";
import { type SamplingOptions, sampleToken } from "./sampling.js";

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

/** The text that follows the prompt, and why it ended. */
export interface Generation {
  readonly text: string;
  /** Tokens written. */
  readonly tokens: number;
  readonly finish: "end-of-text" | "length" | "stop";
  /** Tokens of the prompt, with what a text begins with. */
  readonly promptTokens: number;
  /** Milliseconds for each token of the prompt that was read; null where none was. */
  readonly msPerPromptToken: number | null;
  /** Milliseconds for each token after the first, from one to the next; null where there is none. */
  readonly msPerToken: number | null;
  /** Tokens that the model sees at most. */
  readonly contextTokens: number;
  /** Times that the text had filled the context and went on from its last half. */
  readonly contextRestarts: number;
}

export interface TextOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** Texts that end the generation and are not part of what it gives; none of them empty. Default: none. */
  readonly stop?: readonly string[] | undefined;
  /** Hears each piece of text as soon as it is whole characters and cannot be part of a stop text. */
  readonly onText?: ((piece: string) => void) | undefined;
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
  /** All that the model has read of the text; the cache has all of it or the end. */
  #read: number[] = [];
  #restarts = 0;

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
    const { maxNewTokens, signal, onText = () => {} } = options;
    const stream = new TextStream(this.#tokenizer);
    const stop = new StopTexts(options.stop ?? []);
    let text = "";
    const show = (piece: string): void => {
      text += piece;
      if (piece !== "") onText(piece);
    };
    let finish: Generation["finish"] = "length";
    let next = this.#unread(prompt);
    const unread = next.length;
    if (maxNewTokens > 0) await this.#decoder.prepare(unread);
    const clock = new Clock();
    let tokens = 0;
    while (tokens < maxNewTokens) {
      signal?.throwIfAborted();
      const logits = await this.#advance(next);
      if (clock.tick() === 1) {
        await this.#decoder.prepare(1);
        clock.skip();
      }
      if (!logits.every(Number.isFinite)) {
        throw new NumericError(
          "the model computes scores of tokens that are not finite; retrain it, or name weights that are whole",
        );
      }
      const token = sampleToken(logits, options, rng);
      if (this.#endIds.has(token) || endIds.includes(token)) {
        finish = "end-of-text";
        break;
      }
      tokens++;
      show(stop.push(stream.push(token)));
      if (stop.found) {
        finish = "stop";
        break;
      }
      next = [token];
    }
    if (finish !== "stop") show(stop.push(stream.end()) + stop.end());
    return {
      ...{ text, tokens, finish, promptTokens: prompt.length },
      ...{ contextTokens: this.#contextTokens, contextRestarts: this.#restarts },
      msPerPromptToken: clock.ticks === 0 ? null : clock.firstMs / unread,
      msPerToken: clock.ticks < 2 ? null : clock.otherMs / (clock.ticks - 1),
    };
  }

  release(): Promise<void> {
    return this.#decoder.release();
  }

  #forget(): void {
    this.#read = [];
    this.#restarts = 0;
    this.#decoder.clear();
  }

  /**
   * The part of the prompt that is not in the cache, which is emptied where it holds anything else. At least one
   * token.
   */
  #unread(prompt: readonly number[]): readonly number[] {
    const isBeginning = this.#read.length < prompt.length && this.#read.every((id, i) => id === prompt[i]);
    if (!isBeginning || this.#restarts > 0) this.#forget();
    return prompt.slice(this.#read.length);
  }

  /** Reads tokens after those before → scores of the one after them. */
  #advance(ids: readonly number[]): Promise<Float32Array> {
    let unread = ids;
    append(this.#read, ids);
    if (this.#decoder.length + ids.length > this.#contextTokens) {
      unread = this.#read.slice(-Math.ceil(this.#contextTokens / 2));
      this.#decoder.clear();
      this.#restarts++;
    }
    return this.#decoder.read(unread);
  }
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
function requireVocabulary(ids: readonly number[], vocabSize: number): void {
  const id = ids.find((each) => each >= vocabSize);
  if (id === undefined) return;
  throw new DataError(`the prompt has token ${id}, but the model has ${vocabSize}: its tokenizer is another model's`);
}
