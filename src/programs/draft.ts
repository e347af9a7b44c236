import { NumericError } from "../base/errors.js";
import { append } from "../base/lists.js";
import type { Rng } from "../tensor/random.js";
import { StopTexts } from "../tokenizers/stop-texts.js";
import { TextStream } from "../tokenizers/text-stream.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import type { CachedDecoder, Reading } from "./cached-decoder.js";
import { type SamplingOptions, sampleToken, scoreTokens, type TokenScore } from "./sampling.js";

/** A token that was written, with its score. */
export interface WrittenToken extends TokenScore {
  /** Characters of text before it. */
  readonly offset: number;
  /** The likeliest tokens in its place, as many as were asked for. */
  readonly likeliest: readonly TokenScore[];
}

/** Hears each token of a text before its piece, those that become part of a stop text too. */
export interface TokenListener {
  /** Number of likeliest tokens to score beside each. */
  readonly likeliest: number;
  readonly onToken: (token: WrittenToken) => void;
}

/** Rules by which a text is written. */
export interface DraftOptions extends SamplingOptions {
  /** At least 1. */
  readonly maxNewTokens: number;
  /** Texts that end the generation and are not part of what it gives; none of them empty. Default: none. */
  readonly stop?: readonly string[] | undefined;
  /** Hears each piece of text as soon as it is whole characters and cannot be part of a stop text. */
  readonly onText?: ((piece: string) => void) | undefined;
  /** Hears tokens with their scores. Default: none are computed. */
  readonly tokens?: TokenListener | undefined;
}

/** A text that is being written, token by token. */
export class Draft {
  text = "";
  tokens = 0;
  /** Why it ended, once it has. */
  finish: "end-of-text" | "length" | "stop" = "length";
  readonly #options: DraftOptions;
  readonly #rng: Rng;
  readonly #isEnd: (id: number) => boolean;
  readonly #stream: TextStream;
  readonly #stop: StopTexts;
  /** Characters of the tokens so far, a stop text included. */
  #length = 0;

  /** @param isEnd true for tokens that end the text, and are not part of it. */
  constructor(tokenizer: Tokenizer, options: DraftOptions, rng: Rng, isEnd: (id: number) => boolean) {
    this.#options = options;
    this.#rng = rng;
    this.#isEnd = isEnd;
    this.#stream = new TextStream(tokenizer);
    this.#stop = new StopTexts(options.stop ?? []);
  }

  /** Chooses a token by its scores. → the token, which is to be read next; undefined if the text has ended. */
  choose(logits: Float32Array): number | undefined {
    if (!logits.every(Number.isFinite)) {
      throw new NumericError(
        "the model computes scores of tokens that are not finite; retrain it, or name weights that are whole",
      );
    }
    const token = sampleToken(logits, this.#options, this.#rng);
    if (this.#isEnd(token)) return this.#end("end-of-text");
    this.tokens++;
    this.#options.tokens?.onToken({ ...this.#scored(logits, token), offset: this.#length });
    const piece = this.#stream.push(token);
    this.#length += piece.length;
    this.#show(this.#stop.push(piece));
    if (this.#stop.found) {
      this.finish = "stop";
      return undefined;
    }
    return this.tokens < this.#options.maxNewTokens ? token : this.#end("length");
  }

  #scored(logits: Float32Array, token: number): Omit<WrittenToken, "offset"> {
    const [own, ...likeliest] = scoreTokens(logits, token, this.#options.tokens!.likeliest);
    return { ...own, likeliest };
  }

  #end(finish: "end-of-text" | "length"): undefined {
    this.finish = finish;
    this.#show(this.#stop.push(this.#stream.end()) + this.#stop.end());
  }

  #show(piece: string): void {
    this.text += piece;
    if (piece !== "") this.#options.onText?.(piece);
  }
}

/**
 * A text as a model reads it, in a row of a decoder. When it has filled the model's context, it goes on from the last
 * half of it, as if it began there.
 */
export class ReadText {
  /** All that the model has read; the cache has all of it or the end. */
  readonly ids: number[] = [];
  /** Times that the context was full. */
  restarts = 0;
  readonly #decoder: CachedDecoder;
  readonly #contextTokens: number;
  readonly #row: number;

  /** Begins in an emptied row. */
  constructor(decoder: CachedDecoder, contextTokens: number, row = 0) {
    decoder.clear(row);
    this.#decoder = decoder;
    this.#contextTokens = contextTokens;
    this.#row = row;
  }

  /** What a prompt has after all that was read: at least one token. Undefined where it does not begin with that. */
  restOf(prompt: readonly number[]): readonly number[] | undefined {
    const { ids } = this;
    const isBeginning = this.restarts === 0 && ids.length < prompt.length && ids.every((id, i) => id === prompt[i]);
    return isBeginning ? prompt.slice(ids.length) : undefined;
  }

  /** Adds tokens. → what the decoder has to read for them, at once. */
  add(ids: readonly number[]): Reading {
    append(this.ids, ids);
    if (this.#decoder.lengthOf(this.#row) + ids.length <= this.#contextTokens) return { row: this.#row, ids };
    this.#decoder.clear(this.#row);
    this.restarts++;
    return { row: this.#row, ids: this.ids.slice(-Math.ceil(this.#contextTokens / 2)) };
  }
}
