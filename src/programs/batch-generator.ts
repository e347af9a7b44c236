import type { CausalLM } from "../models/causal-lm.js";
import type { SessionOptions } from "../runtime/session.js";
import type { Rng } from "../tensor/random.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { CachedDecoder, type Reading } from "./cached-decoder.js";
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

/** A prompt that is being answered. */
interface Work {
  readonly place: number;
  readonly promptTokens: number;
  readonly draft: Draft;
  readonly read: ReadText;
  next: readonly number[];
}

/**
 * Continues many prompts, several at once: each has a row of the decoder, and where one ends the next prompt begins. A
 * text depends on its own prompt and draws alone.
 */
export class BatchGenerator {
  readonly #tokenizer: Tokenizer;
  readonly #decoder: CachedDecoder;
  readonly #config: CausalLM["config"];

  /** Must be released. Later changes of the model's structure are not seen. @param rows prompts at once. */
  constructor(model: CausalLM, tokenizer: Tokenizer, session: SessionOptions, rows: number) {
    this.#tokenizer = tokenizer;
    this.#decoder = new CachedDecoder(model, session, rows);
    this.#config = model.config;
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
    const free = Array.from({ length: this.#decoder.rows }, (_, row) => row);
    let works: Work[] = [];
    let count = 0;
    try {
      for (let hasMore = true; ; ) {
        while (hasMore && free.length > 0) {
          const { done, value } = await source.next();
          if (done === true) hasMore = false;
          else works.push(this.#begin(count++, value, free.shift()!, options));
        }
        if (works.length === 0) return;
        options.signal?.throwIfAborted();
        const readings: Reading[] = works.map(({ read, next }) => read.add(next));
        const logits = await this.#decoder.readRows(readings);
        const left: Work[] = [];
        const ended: Work[] = [];
        for (const [i, work] of works.entries()) {
          const token = work.draft.choose(logits[i]!);
          if (token === undefined) {
            ended.push(work);
            free.push(readings[i]!.row);
          } else {
            work.next = [token];
            left.push(work);
          }
        }
        works = left;
        for (const { place, draft, read, promptTokens } of ended) {
          yield [place, answerOf(draft, read, { promptTokens, contextTokens: this.#config.maxSequenceLength })];
        }
      }
    } finally {
      await source.return?.();
    }
  }

  #begin(place: number, { ids, rng, isEnd }: BatchPrompt, row: number, options: BatchOptions): Work {
    requireVocabulary(ids, this.#config.vocabSize);
    const read = new ReadText(this.#decoder, this.#config.maxSequenceLength, row);
    return { place, promptTokens: ids.length, draft: new Draft(this.#tokenizer, options, rng, isEnd), read, next: ids };
  }

  release(): Promise<void> {
    return this.#decoder.release();
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
