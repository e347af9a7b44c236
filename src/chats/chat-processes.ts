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

/** Conversations of a question, where there are more than these. */
const AT_ONCE = 64;

/**
 * Processes that render conversations on all cores. One whose template loops forever or fills the memory is stopped.
 * They stay for the next call, since a process is slow at first. Must be closed.
 */
export class ChatProcesses {
  readonly #idle: LimitedProcess[] = [];
  /** These and those that render. */
  readonly #all: Set<LimitedProcess> = new Set();

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
    // Of few, each is a question: the one at which a template does not end need not be looked for.
    const count = places.length > AT_ONCE ? AT_ONCE : 1;
    const renderBatches = async (): Promise<void> => {
      while (next < places.length && faults.length === 0) {
        const at = next;
        next += count;
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

  /** Ends the processes, also those that render. */
  close(): void {
    this.#idle.length = 0;
    for (const process of this.#all) process.stop();
    this.#all.clear();
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
      if (places.length === 1) throw stoppedAt(places[0]!, error);
    }
    // One by one, so that it shows which conversation it was.
    const answers: ChatAnswer[] = [];
    for (const [index, conversation] of conversations.entries()) {
      try {
        append(answers, await this.#ask({ ...work, conversations: [conversation] }));
      } catch (cause) {
        if (!(cause instanceof DataError)) throw cause;
        throw stoppedAt(places[index]!, cause);
      }
    }
    return answers;
  }

  async #ask(question: ChatQuestion): Promise<readonly ChatAnswer[]> {
    const process = this.#idle.pop() ?? this.#open();
    try {
      const answers = (await process.ask(question)) as readonly ChatAnswer[];
      if (this.#all.has(process)) this.#idle.push(process);
      return answers;
    } catch (error) {
      process.stop();
      this.#all.delete(process);
      throw error;
    }
  }

  #open(): LimitedProcess {
    const module = new Worker(new URL("./chat-worker.js", import.meta.url), { type: "module" });
    const process = openLimited(module, LIMITS);
    this.#all.add(process);
    return process;
  }
}

function stoppedAt(place: number, cause: DataError): DataError {
  return new DataError(
    `the chat template was stopped at conversation ${place + 1}: ${cause.text}; ` +
      `name another with ${optionName("chatTemplate")}`,
    { cause },
  );
}
