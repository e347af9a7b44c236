import { startWorker, Worker } from "../../dist/platform/browser-workers.js";
import type { PromptMessage, PromptTask, WritingTask } from "./prompt-worker.ts";

interface Waiting {
  readonly onPiece: (piece: string) => void;
  readonly resolve: (done: NonNullable<PromptMessage["done"]>) => void;
  readonly reject: (error: Error) => void;
}

/** The worker that writes and exports, which starts when it is first asked for something. */
export class PromptWorker {
  readonly #waiting = new Map<number, Waiting>();
  #worker: ReturnType<typeof startWorker> | undefined;
  #count = 0;

  /** Whether a run answers in chats. */
  async isChat(run: string, checkpoint: number | null): Promise<boolean> {
    return (await this.#ask({ kind: "look", run, checkpoint })).isChat ?? false;
  }

  async write(task: Omit<WritingTask, "kind">, onPiece: (piece: string) => void): Promise<string> {
    return (await this.#ask({ kind: "write", ...task }, onPiece)).text ?? "";
  }

  async export(run: string, format: "peft" | "hf", out: string): Promise<void> {
    await this.#ask({ kind: "export", run, format, out });
  }

  /** Ends the text that is being written. */
  stop(): void {
    this.#worker?.post({ stop: true });
  }

  #ask(task: PromptTask, onPiece: Waiting["onPiece"] = () => {}): Promise<NonNullable<PromptMessage["done"]>> {
    this.#worker ??= this.#start();
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { onPiece, resolve, reject });
      this.#worker!.post({ id, task });
    });
  }

  #start(): ReturnType<typeof startWorker> {
    const worker = startWorker(new Worker(new URL("./prompt-worker.ts", import.meta.url), { type: "module" }), null);
    worker.onMessage((message) => this.#hear(message as PromptMessage));
    worker.onError((error) => {
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
      worker.terminate();
      this.#worker = undefined;
    });
    return worker;
  }

  #hear({ id, piece, done, fault }: PromptMessage): void {
    const waiting = this.#waiting.get(id);
    if (piece !== undefined) waiting?.onPiece(piece);
    if (done === undefined && fault === undefined) return;
    this.#waiting.delete(id);
    if (fault !== undefined) waiting?.reject(new Error(fault));
    else waiting?.resolve(done!);
  }
}
