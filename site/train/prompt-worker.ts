import { type ChatMessage, exportTo, type LanguageModel, loadModel } from "highrank";
import { inWorker } from "../../dist/platform/browser-workers.js";

/** Asks for a text after a prompt, or for the assistant's next turn. */
export interface WritingTask {
  readonly kind: "write";
  readonly run: string;
  /** The checkpoint to take: the model is loaded anew where it has changed. Null for the finished model. */
  readonly checkpoint: number | null;
  readonly prompt: string | readonly ChatMessage[];
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

export type PromptTask =
  | WritingTask
  | { readonly kind: "look"; readonly run: string; readonly checkpoint: number | null }
  | { readonly kind: "export"; readonly run: string; readonly format: "peft" | "hf"; readonly out: string };

export type PromptRequest = { readonly id: number; readonly task: PromptTask } | { readonly stop: true };

export interface PromptMessage {
  readonly id: number;
  readonly piece?: string;
  readonly done?: { readonly isChat?: boolean; readonly text?: string };
  readonly fault?: string;
}

// A thread of its own: a page would stand still while the model writes.

inWorker((port) => {
  let loaded: { readonly key: string; readonly model: LanguageModel } | null = null;
  let stopper = new AbortController();

  async function modelOf({ run, checkpoint }: Pick<WritingTask, "run" | "checkpoint">): Promise<LanguageModel> {
    const key = `${run} ${checkpoint}`;
    if (loaded?.key !== key) {
      await loaded?.model.dispose();
      loaded = null;
      loaded = { key, model: await loadModel(run, { checkpoint }) };
    }
    return loaded.model;
  }

  async function write(task: WritingTask, onText: (piece: string) => void): Promise<string> {
    const model = await modelOf(task);
    const { prompt, maxNewTokens, temperature, seed } = task;
    stopper = new AbortController();
    const options = { maxNewTokens, temperature, seed, onText, signal: stopper.signal };
    const reply = typeof prompt === "string" ? model.generate(prompt, options) : model.chat(prompt, options);
    return reply;
  }

  async function work(id: number, task: PromptTask): Promise<PromptMessage> {
    if (task.kind === "export") {
      await exportTo(task.run, task.format, { out: task.out });
      return { id, done: {} };
    }
    if (task.kind === "look") {
      const { config } = await (await modelOf(task)).tokenizer;
      return { id, done: { isChat: config.chat_template !== undefined } };
    }
    return { id, done: { text: await write(task, (piece) => port.post({ id, piece } satisfies PromptMessage)) } };
  }

  port.onMessage(async (message) => {
    const request = message as PromptRequest;
    if ("stop" in request) return stopper.abort();
    const { id, task } = request;
    try {
      port.post(await work(id, task));
    } catch (error) {
      if (task.kind === "write" && stopper.signal.aborted) return port.post({ id, done: {} } satisfies PromptMessage);
      port.post({ id, fault: (error as Error).message } satisfies PromptMessage);
    }
  });
});
