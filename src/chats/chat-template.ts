import { DataError } from "../base/errors.js";
import { writePythonJson } from "../python/json.js";
import { contentOf } from "../tokenizers/outside-tokens.js";
import { storedTemplates } from "../tokenizers/stored-templates.js";
import type { TokenizerConfig } from "../tokenizers/tokenizer.js";
import { type ChatAnswer, ChatProcesses, type ChatTask } from "./chat-processes.js";
import type { Conversation } from "./chat-rendering.js";

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
   * Renders conversations in separate processes, which are stopped if the template loops forever or fills the memory.
   * @param date day that the template is told, as YYYY-MM-DD; null for none.
   * @param processes that render. Default: processes of this call.
   * @returns for each conversation the rendering, or the reason why the template refused it.
   * @throws DataError if a process had to be stopped.
   */
  async renderAll(
    conversations: readonly Conversation[],
    task: ChatTask,
    date: string | null = today(),
    processes?: ChatProcesses,
  ): Promise<ChatAnswer[]> {
    if (processes === undefined) {
      const own = new ChatProcesses();
      return this.renderAll(conversations, task, date, own).finally(() => own.close());
    }
    const answers = new Array<ChatAnswer>(conversations.length);
    const textOf = (place: number): string => writePythonJson(conversations[place]);
    for (const source of new Set([this.#usual, this.#forTools])) {
      const places = [...conversations.keys()].filter((place) => this.#sourceFor(conversations[place]!) === source);
      const some = await processes.render({ source, variables: this.#variables, task, date }, places, textOf);
      for (const [index, place] of places.entries()) answers[place] = some[index]!;
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

/** The day here, as YYYY-MM-DD. */
export function today(): string {
  const now = new Date();
  return new Date(now.getTime() - 60_000 * now.getTimezoneOffset()).toISOString().slice(0, 10);
}
