import { cpuCount, runLimited, Worker } from "#platform";
import { DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { writePythonJson } from "../python/json.js";
import { contentOf } from "../tokenizers/outside-tokens.js";
import { storedTemplates } from "../tokenizers/stored-templates.js";
import type { TokenizerConfig } from "../tokenizers/tokenizer.js";
import type { Conversation, RenderedConversation, ScoredTurns } from "./chat-rendering.js";

const LIMITS = { seconds: 10, heapMegabytes: 256 } as const;

/** Special tokens that templates know by these names, as in transformers. */
const TOKEN_NAMES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/** Purpose of a rendering: with the turns that are scored, for the assistant's next turn, or neither. */
export type ChatTask = ScoredTurns | "prompt" | "plain";

export interface ChatWork {
  readonly source: string;
  readonly variables: Readonly<Record<string, string>>;
  /** As JSON with the numbers of Python, which would be lost between processes. */
  readonly conversations: readonly string[];
  readonly task: ChatTask;
  /** Day that the template is told, as YYYY-MM-DD; null for none. */
  readonly date: string | null;
}

/** A process's share of the work. */
export interface ChatProcessWork extends ChatWork {
  /** Answers in a message. */
  readonly atOnce: number;
}

export type ChatAnswer = RenderedConversation | { readonly fault: string };

/** The chat template of a tokenizer, or its several ones, with the special tokens that they write. */
export class ChatTemplate {
  readonly #usual: string;
  readonly #forTools: string;
  readonly #variables: Readonly<Record<string, string>>;

  /** @param forTools renders conversations with tools. Default: the same. */
  constructor(source: string, config: TokenizerConfig, forTools: string = source) {
    this.#usual = source;
    this.#forTools = forTools;
    const tokens = TOKEN_NAMES.map((name) => [name, contentOf(config[name])] as const);
    this.#variables = Object.fromEntries(tokens.filter((entry): entry is [never, string] => entry[1] !== undefined));
  }

  /** The template of a tokenizer, or null if it has none. @throws CheckpointError as `storedTemplates`. */
  static of({ config }: { readonly config: TokenizerConfig }): ChatTemplate | null {
    const stored = storedTemplates(config);
    return stored === null ? null : new ChatTemplate(stored.usual, config, stored.forTools);
  }

  /**
   * Renders conversations in a separate process, which is stopped if the template loops forever or fills the memory.
   * @param date day that the template is told, as YYYY-MM-DD; null for none.
   * @returns for each conversation the rendering, or the reason why the template refused it.
   * @throws DataError if the process had to be stopped.
   */
  async renderAll(
    conversations: readonly Conversation[],
    task: ChatTask,
    date: string | null = today(),
  ): Promise<ChatAnswer[]> {
    const answers = new Array<ChatAnswer>(conversations.length);
    for (const source of new Set([this.#usual, this.#forTools])) {
      const places = [...conversations.keys()].filter((place) => this.#sourceFor(conversations[place]!) === source);
      const some = places.map((place) => writePythonJson(conversations[place]));
      await renderSome({ source, variables: this.#variables, conversations: some, task, date }, places, answers);
    }
    return answers;
  }

  #sourceFor({ tools }: Conversation): string {
    return tools === undefined ? this.#usual : this.#forTools;
  }

  /** True if one of the templates writes the date. */
  get readsDate(): boolean {
    return [this.#usual, this.#forTools].some((source) => source.includes("strftime_now"));
  }

  /** Renders the text that the assistant is to continue. @throws DataError if the template refuses the conversation. */
  async prompt(conversation: Conversation): Promise<string> {
    const [answer] = await this.renderAll([conversation], "prompt");
    if (answer !== undefined && "text" in answer) return answer.text;
    throw new DataError(answer?.fault ?? "the chat template gave nothing");
  }
}

/** Conversations that make another process worth its start. */
const FOR_A_PROCESS = 2000;

/** Answers that a process sends at once. */
const AT_ONCE = 64;

/** Renders on all cores. @param places of the conversations among all, into which the answers go. */
async function renderSome(work: ChatWork, places: readonly number[], answers: ChatAnswer[]): Promise<void> {
  const { length } = places;
  if (length === 0) return;
  const processes = Math.min(cpuCount(), Math.ceil(length / FOR_A_PROCESS));
  const each = Math.ceil(length / processes);
  const parts = Array.from({ length: processes }, (_, index): readonly [number, number] => {
    return [index * each, Math.min(length, (index + 1) * each)];
  });
  const ended = await Promise.allSettled(
    parts.map(([from, to]) =>
      renderPart({ ...work, conversations: work.conversations.slice(from, to) }, places.slice(from, to), answers),
    ),
  );
  for (const part of ended) if (part.status === "rejected") throw part.reason;
}

/** Renders in one process. @param atOnce answers that it sends at once. */
async function renderPart(
  work: ChatWork,
  places: readonly number[],
  answers: ChatAnswer[],
  atOnce: number = AT_ONCE,
): Promise<void> {
  let done = 0;
  try {
    const module = new Worker(new URL("./chat-worker.js", import.meta.url), { type: "module" });
    await runLimited(module, { ...work, atOnce }, LIMITS, (message) => {
      for (const answer of message as readonly ChatAnswer[]) answers[places[done++]!] = answer;
    });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    // One by one, so that it shows which conversation it was.
    if (atOnce > 1 && places.length > 1) {
      return renderPart({ ...work, conversations: work.conversations.slice(done) }, places.slice(done), answers, 1);
    }
    throw new DataError(
      `the chat template was stopped at conversation ${places[done]! + 1}: ${cause.text}; ` +
        `name another with ${optionName("chatTemplate")}`,
      { cause },
    );
  }
}

/** The day here, as YYYY-MM-DD. */
export function today(): string {
  const now = new Date();
  return new Date(now.getTime() - 60_000 * now.getTimezoneOffset()).toISOString().slice(0, 10);
}
