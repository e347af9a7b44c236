import { cpuCount, type LimitedProcess, openLimited, Worker } from "#platform";
import { DataError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { optionName } from "../base/naming.js";
import type { RenderedConversation, ScoredTurns } from "./chat-rendering.js";

const LIMITS = { seconds: 10, heapMegabytes: 256 } as const;

/** Purpose of a rendering: with the turns that are scored, for the assistant's next turn, or neither. */
export type ChatTask = ScoredTurns | "prompt" | "plain";

/** A template and what it is to do. */
export interface ChatWork {
  readonly source: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly task: ChatTask;
  /** Day that the template is told, as YYYY-MM-DD; null for none. */
  readonly date: string | null;
}

/** Work of a process, which it answers with as many answers as there are conversations. */
export interface ChatQuestion extends ChatWork {
  /** As JSON with the numbers of Python, which would be lost between processes. */
  readonly conversations: readonly string[];
}

export type ChatAnswer = RenderedConversation | { readonly fault: string };

/** Conversations that make another process worth its start. */
const FOR_A_PROCESS = 2000;

/** Conversations of a question. */
const AT_ONCE = 64;

/**
 * Processes that render conversations on all cores. One whose template loops forever or fills the memory is stopped.
 * They stay for the next call, since a process is slow at first. Must be closed.
 */
export class ChatProcesses {
  readonly #idle: LimitedProcess[] = [];

  /**
   * Renders some conversations among others.
   * @param places of these among all, for messages.
   * @param textOf gives the conversation at a place as JSON with the numbers of Python.
   * @throws DataError if a process had to be stopped.
   */
  async render(work: ChatWork, places: readonly number[], textOf: (place: number) => string): Promise<ChatAnswer[]> {
    const answers = new Array<ChatAnswer>(places.length);
    const faults: { readonly at: number; readonly error: unknown }[] = [];
    let next = 0;
    const renderBatches = async (): Promise<void> => {
      while (next < places.length && faults.length === 0) {
        const at = next;
        next += AT_ONCE;
        try {
          const batch = await this.#renderBatch(work, places.slice(at, next), textOf);
          for (const [index, answer] of batch.entries()) answers[at + index] = answer;
        } catch (error) {
          faults.push({ at, error });
        }
      }
    };
    const useful = Math.max(this.#idle.length, Math.ceil(places.length / FOR_A_PROCESS));
    await Promise.all(Array.from({ length: Math.min(cpuCount(), useful) }, renderBatches));
    if (faults.length > 0) throw faults.sort((a, b) => a.at - b.at)[0]!.error;
    return answers;
  }

  /** Ends the processes. */
  close(): void {
    for (const process of this.#idle.splice(0)) process.stop();
  }

  async #renderBatch(
    work: ChatWork,
    places: readonly number[],
    textOf: (place: number) => string,
  ): Promise<readonly ChatAnswer[]> {
    const conversations = places.map(textOf);
    try {
      return await this.#ask({ ...work, conversations });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
    // One by one, so that it shows which conversation it was.
    const answers: ChatAnswer[] = [];
    for (const [index, conversation] of conversations.entries()) {
      try {
        append(answers, await this.#ask({ ...work, conversations: [conversation] }));
      } catch (cause) {
        if (!(cause instanceof DataError)) throw cause;
        throw new DataError(
          `the chat template was stopped at conversation ${places[index]! + 1}: ${cause.text}; ` +
            `name another with ${optionName("chatTemplate")}`,
          { cause },
        );
      }
    }
    return answers;
  }

  async #ask(question: ChatQuestion): Promise<readonly ChatAnswer[]> {
    const process =
      this.#idle.pop() ??
      openLimited(new Worker(new URL("./chat-worker.js", import.meta.url), { type: "module" }), LIMITS);
    try {
      const answers = (await process.ask(question)) as readonly ChatAnswer[];
      this.#idle.push(process);
      return answers;
    } catch (error) {
      process.stop();
      throw error;
    }
  }
}
