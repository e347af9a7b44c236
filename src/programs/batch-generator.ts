import { smallest } from "../base/numbers.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { SessionOptions } from "../runtime/session.js";
import type { Rng } from "../tensor/random.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { CachedDecoder } from "./cached-decoder.js";
import { Draft, type DraftOptions, ReadText } from "./draft.js";
import { type Answer, answerOf, requireVocabulary } from "./text-generator.js";

/** A prompt to continue. */
export interface BatchPrompt {
  /** At least one token. */
  readonly ids: readonly number[];
  /** Draws the tokens of this text alone. */
  readonly rng: Rng;
  /** True for tokens that end this text, and are not part of it. */
  readonly isEnd: (id: number) => boolean;
}

export interface BatchOptions extends Omit<DraftOptions, "onText"> {
  /** Ends the generation before its next tokens; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** Most prompts at once, unless the caller asks for more. */
const MOST_ROWS = 16;

/** Prompts at once whose keys and values fit into these bytes: from 1 to 16. @param tokens of the longest text. */
export function rowsFor(model: CausalLM, tokens: number, bytes: number): number {
  const each = CachedDecoder.rowBytes(model, Math.min(tokens, model.config.maxSequenceLength));
  return Math.max(1, Math.min(MOST_ROWS, Math.floor(bytes / each)));
}

/** A text that a prompt is continued by. */
export interface BatchText {
  readonly promptTokens: number;
  /** What was written so far; once the text has ended, all of it. */
  readonly answer: Answer;
}

/** A text with its row of the decoder. */
class OpenText implements BatchText {
  readonly promptTokens: number;
  readonly draft: Draft;
  readonly read: ReadText;
  readonly row: number;
  readonly #contextTokens: number;
  /** Tokens to be read in the next step. */
  next: readonly number[];

  constructor(draft: Draft, { ids }: BatchPrompt, place: Place, next: readonly number[], contextTokens: number) {
    this.draft = draft;
    this.promptTokens = ids.length;
    ({ row: this.row, read: this.read } = place);
    this.next = next;
    this.#contextTokens = contextTokens;
  }

  get answer(): Answer {
    return answerOf(this.draft, this.read, { promptTokens: this.promptTokens, contextTokens: this.#contextTokens });
  }
}

/** A row of the decoder and what it has read. */
interface Place {
  readonly row: number;
  readonly read: ReadText;
}

/**
 * Continues many prompts, several at once: each has a row of the decoder, and where one ends another may begin. A text
 * depends on its own prompt and draws alone. A prompt that begins with all that a free row has read, as the next turn
 * of a chat does, goes on there.
 */
export class BatchGenerator {
  readonly #tokenizer: Tokenizer;
  readonly #decoder: CachedDecoder;
  readonly #config: CausalLM["config"];
  /** Rows without a text, the one first that has been so for longest. */
  readonly #free: Place[];
  readonly #open: Set<OpenText> = new Set();

  /** Must be released. Later changes of the model's structure are not seen. @param rows prompts at once. */
  constructor(model: CausalLM, tokenizer: Tokenizer, session: SessionOptions, rows: number) {
    this.#tokenizer = tokenizer;
    this.#decoder = new CachedDecoder(model, session, rows);
    this.#config = model.config;
    this.#free = Array.from({ length: rows }, (_, row) => ({ row, read: this.#emptied(row) }));
  }

  /** Number of texts that may begin now. */
  get room(): number {
    return this.#free.length;
  }

  /** True if there are texts to go on with. */
  get isBusy(): boolean {
    return this.#open.size > 0;
  }

  /** Begins a text where there is room. @throws DataError for tokens that the model does not have. */
  begin(prompt: BatchPrompt, options: DraftOptions): BatchText {
    requireVocabulary(prompt.ids, this.#config.vocabSize);
    const rests = this.#free.map(({ read }) => (read.ids.length === 0 ? undefined : read.restOf(prompt.ids)));
    const shortest = smallest(rests.map((rest) => rest?.length ?? Infinity));
    const at = Math.max(
      0,
      rests.findIndex((rest) => rest?.length === shortest),
    );
    const [free] = this.#free.splice(at, 1);
    const { row } = free!;
    const place = rests[at] === undefined ? { row, read: this.#emptied(row) } : free!;
    const draft = new Draft(this.#tokenizer, options, prompt.rng, prompt.isEnd);
    const next = rests[at] ?? prompt.ids;
    const text = new OpenText(draft, prompt, place, next, this.#config.maxSequenceLength);
    this.#open.add(text);
    return text;
  }

  /** Lets a text go before its end. */
  leave(text: BatchText): void {
    if (!this.#open.delete(text as OpenText)) return;
    const { row, read } = text as OpenText;
    this.#free.push({ row, read });
  }

  /** Goes on with each text by a token. → those that have ended. */
  async step(): Promise<BatchText[]> {
    const texts = [...this.#open];
    const logits = await this.#decoder.readRows(texts.map(({ read, next }) => read.add(next)));
    const ended = texts.filter((text, i) => {
      if (!this.#open.has(text)) return false; // it was left meanwhile
      const token = text.draft.choose(logits[i]!);
      text.next = token === undefined ? [] : [token];
      return token === undefined;
    });
    for (const text of ended) this.leave(text);
    return ended;
  }

  /**
   * Answers each prompt, in the order in which they end, with its place among the prompts, from 0.
   * @throws DataError for tokens that the model does not have.
   */
  async *answers(
    prompts: AsyncIterable<BatchPrompt>,
    options: BatchOptions,
  ): AsyncGenerator<[place: number, answer: Answer], void, undefined> {
    const source = prompts[Symbol.asyncIterator]();
    const places = new Map<BatchText, number>();
    let count = 0;
    try {
      for (let hasMore = true; ; ) {
        while (hasMore && this.room > 0) {
          const { done, value } = await source.next();
          if (done === true) hasMore = false;
          else places.set(this.begin(value, options), count++);
        }
        if (places.size === 0) return;
        options.signal?.throwIfAborted();
        for (const text of await this.step()) {
          yield [places.get(text)!, text.answer];
          places.delete(text);
        }
      }
    } finally {
      for (const text of places.keys()) this.leave(text);
      await source.return?.();
    }
  }

  release(): Promise<void> {
    return this.#decoder.release();
  }

  #emptied(row: number): ReadText {
    return new ReadText(this.#decoder, this.#config.maxSequenceLength, row);
  }
}

/** Items by place, put in order: each as soon as all before it are there. */
export async function* inOrder<T>(items: AsyncIterable<[place: number, item: T]>): AsyncGenerator<T, void, undefined> {
  const early = new Map<number, T>();
  let next = 0;
  for await (const [place, item] of items) {
    early.set(place, item);
    for (; early.has(next); next++) {
      yield early.get(next)!;
      early.delete(next);
    }
  }
}
