import { cpuCount, startWorker, Worker, type WorkerHandle } from "#platform";
import { type ErrorParts, putTogether } from "../base/error-parts.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { charactersOf, type EncodedTask, type EncodingTask, encodeTask } from "./encoding-work.js";

/** Characters that are encoded without help: they take less time than threads need to begin. */
const ALONE = 2 ** 21;

/** Most threads. One thread reads for all of them. */
const MOST_WORKERS = 8;

/** Tasks of a thread: the one at work and the next. */
const TASKS = 2;

export type EncodingAnswer = { readonly encoded: EncodedTask } | { readonly error: ErrorParts };

/** A task that a thread has been given. */
interface Given {
  readonly task: EncodingTask;
  resolve(encoded: EncodedTask | Promise<EncodedTask>): void;
  reject(error: Error): void;
}

interface Helper {
  readonly handle: WorkerHandle;
  readonly given: Given[];
}

export interface PoolOptions {
  /** Threads beside this one. Default: as many as there are cores, at most 8. */
  readonly workers?: number;
  /** Characters that this thread encodes before it starts others. Default 2 Mi. */
  readonly alone?: number;
  /** Names the module that a thread runs. */
  readonly module?: () => Worker;
}

/**
 * Encodes texts on all cores, once they are many. Where threads cannot be had, or one of them ends, this one does the
 * work: the tokens are the same. Must be closed.
 */
export class EncodingPool {
  readonly #tokenizer: Tokenizer;
  readonly #count: number;
  readonly #module: () => Worker;
  #alone: number;
  #helpers: readonly Helper[] | null = null;

  constructor(
    tokenizer: Tokenizer,
    {
      workers = Math.min(cpuCount(), MOST_WORKERS),
      alone = ALONE,
      module = () => new Worker(new URL("./encoding-worker.js", import.meta.url), { type: "module" }),
    }: PoolOptions = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#count = workers;
    this.#alone = alone;
    this.#module = module;
  }

  /** Tasks that should be under way at once. */
  get atOnce(): number {
    return TASKS * Math.max(1, this.#count);
  }

  /** @throws CheckpointError as the tokenizer. */
  async encode(task: EncodingTask): Promise<EncodedTask> {
    const isAlone = this.#count < 2 || this.#alone > 0;
    this.#alone -= charactersOf(task);
    if (!isAlone) this.#helpers ??= this.#start();
    const helper = this.#helpers?.reduce(lessBusy, this.#helpers[0]);
    if (helper === undefined) return encodeTask(this.#tokenizer, task);
    return new Promise((resolve, reject) => {
      helper.given.push({ task, resolve, reject });
      helper.handle.post(task);
    });
  }

  /** Ends the threads. What they still have to do is not done. */
  async close(): Promise<void> {
    const helpers = this.#helpers ?? [];
    this.#helpers = [];
    await Promise.all(helpers.map(({ handle }) => handle.terminate()));
  }

  #start(): readonly Helper[] {
    try {
      return Array.from({ length: this.#count }, () => this.#startOne());
    } catch {
      return [];
    }
  }

  #startOne(): Helper {
    const handle = startWorker(this.#module(), this.#tokenizer.content);
    const given: Given[] = [];
    handle.onMessage((message) => {
      const answer = message as EncodingAnswer;
      const next = given.shift();
      if (next === undefined) return;
      const { resolve, reject } = next;
      if ("encoded" in answer) resolve(answer.encoded);
      else reject(putTogether(answer.error));
    });
    handle.onError(() => void this.#goOnAlone());
    return { handle, given };
  }

  /** Goes on without threads, with what they still have to do. */
  async #goOnAlone(): Promise<void> {
    const given = (this.#helpers ?? []).flatMap((helper) => helper.given.splice(0));
    await this.close();
    for (const { task, resolve } of given) resolve(this.#encodeHere(task));
  }

  async #encodeHere(task: EncodingTask): Promise<EncodedTask> {
    return encodeTask(this.#tokenizer, task);
  }
}

function lessBusy(least: Helper | undefined, helper: Helper): Helper {
  return least === undefined || helper.given.length < least.given.length ? helper : least;
}
