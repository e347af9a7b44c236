import { startWorker, Worker, type WorkerHandle } from "#platform";
import { putTogether } from "../../base/error-parts.js";
import type { DownloadEvents } from "../../hub/model-download.js";
import {
  type Ending,
  type EngineJob,
  type FromEngine,
  isConversation,
  type Piece,
  type Question,
  type Refusal,
  type ToEngine,
} from "./messages.js";

/** Hears an answer. */
export interface AnswerListener {
  readonly onBegun?: (() => void) | undefined;
  readonly onPiece: (piece: Piece) => void;
  readonly onEnded?: ((ending: Ending) => void) | undefined;
}

/** A question that the engine does not answer. */
export class RefusedError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

function closing(): RefusedError {
  return new RefusedError({ status: 503, code: "closing", message: "the server is closing" });
}

interface Asked extends AnswerListener {
  resolve(ending: Ending): void;
  reject(error: Error): void;
}

/** Models at work in a thread of their own. */
export class Engine {
  /** Their names. */
  readonly models: readonly string[];
  /** Answers that are written at once. */
  readonly parallel: number;
  /** Resolves when the engine was closed; rejects if it failed. */
  readonly ended: Promise<void>;
  readonly #worker: WorkerHandle;
  readonly #asked: Map<number, Asked> = new Map();
  /** Chats whose prompts are being rendered. */
  readonly #rendering: Set<number> = new Set();
  #nextId = 0;
  #failure: Error | undefined;
  #isClosing = false;

  private constructor(worker: WorkerHandle, { models, parallel }: Extract<FromEngine, { kind: "ready" }>) {
    this.#worker = worker;
    this.models = models;
    this.parallel = parallel;
    this.ended = new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#failure = error;
        for (const id of [...this.#asked.keys()]) this.#take(id)?.reject(error);
        reject(error);
      };
      worker.onError(fail);
      worker.onMessage((data) => {
        const message = data as FromEngine;
        if (message.kind === "rendered") this.#rendering.delete(message.id);
        else if (message.kind === "begun") this.#asked.get(message.id)?.onBegun?.();
        else if (message.kind === "piece") this.#asked.get(message.id)?.onPiece(message.piece);
        else if (message.kind === "ended") this.#end(message.id, message.ending);
        else if (message.kind === "refused") this.#take(message.id)?.reject(new RefusedError(message.refusal));
        else if (message.kind === "failed") fail(putTogether(message.error));
        else if (message.kind === "closed") resolve();
      });
    });
    this.ended.catch(() => {});
  }

  /** Loads the models. @throws as `loadServed`. */
  static start(job: EngineJob, { onDownload, onNotice }: DownloadEvents): Promise<Engine> {
    const module = new Worker(new URL("./engine-worker.js", import.meta.url), { type: "module" });
    const worker = startWorker(module, job);
    return new Promise((resolve, reject) => {
      worker.onError(reject);
      worker.onMessage((data) => {
        const message = data as FromEngine;
        if (message.kind === "notice") onNotice?.(message.text);
        else if (message.kind === "download") onDownload?.(message.progress);
        else if (message.kind === "ready") resolve(new Engine(worker, message));
        else if (message.kind === "failed") reject(putTogether(message.error));
      });
    });
  }

  /** Questions that are waiting or being answered. */
  get open(): number {
    return this.#asked.size;
  }

  /** Those of them that the model has to answer yet, or answers: without chats whose prompts are being rendered. */
  get ready(): number {
    return this.#asked.size - this.#rendering.size;
  }

  /**
   * Answers a question. @param seconds time that it may take. @throws RefusedError, or the signal's reason once it is
   * aborted.
   */
  ask(question: Question, listener: AnswerListener, signal: AbortSignal, seconds: number): Promise<Ending> {
    const id = this.#nextId++;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let leave = (): void => {};
    const answered = new Promise<Ending>((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isClosing) throw closing();
      signal.throwIfAborted();
      leave = () => {
        this.#post({ kind: "leave", id });
        this.#take(id)?.reject(signal.reason);
      };
      signal.addEventListener("abort", leave);
      timer = setTimeout(() => this.#post({ kind: "cut", id }), 1000 * seconds);
      this.#asked.set(id, { ...listener, resolve, reject });
      if (isConversation(question.prompt)) this.#rendering.add(id);
      this.#post({ kind: "ask", id, question });
    });
    return answered.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
    });
  }

  /** Ends the engine; questions that are open are refused. */
  async close(): Promise<void> {
    for (const id of [...this.#asked.keys()]) this.#take(id)?.reject(closing());
    this.#isClosing = true;
    this.#post({ kind: "close" });
    await this.ended.catch(() => {});
    await this.#worker.terminate();
  }

  #end(id: number, ending: Ending): void {
    const asked = this.#take(id);
    asked?.onEnded?.(ending);
    asked?.resolve(ending);
  }

  #post(message: ToEngine): void {
    this.#worker.post(message);
  }

  #take(id: number): Asked | undefined {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    this.#rendering.delete(id);
    return asked;
  }
}
