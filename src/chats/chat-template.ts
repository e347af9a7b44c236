import { runLimited } from "#platform";
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

/** @param places of the conversations among all, into which the answers go. */
async function renderSome(work: ChatWork, places: readonly number[], answers: ChatAnswer[]): Promise<void> {
  if (places.length === 0) return;
  let done = 0;
  try {
    await runLimited(new URL("./chat-worker.js", import.meta.url), work, LIMITS, (answer) => {
      answers[places[done++]!] = answer as ChatAnswer;
    });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
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
