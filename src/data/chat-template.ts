import { exists, fileSize, joinPath, pathInside, readText, runLimited } from "#platform";
import { CheckpointError, DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import type { Conversation, RenderedConversation } from "./chat-rendering.js";
import type { TokenizerConfig } from "./tokenizer.js";

/** Longest template that is read, in bytes; published ones have up to some ten thousand. */
const MAX_TEMPLATE_BYTES = 1_000_000;

const LIMITS = { seconds: 10, heapMegabytes: 256 } as const;

/** Special tokens that templates know by these names. */
const TOKEN_NAMES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/** Purpose of a rendering: with the assistant's text, for its next turn, or neither. */
export type ChatTask = "spans" | "prompt" | "plain";

export interface ChatWork {
  readonly source: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly conversations: readonly Conversation[];
  readonly task: ChatTask;
}

export type ChatAnswer = RenderedConversation | { readonly fault: string };

/** A chat template with the special tokens that it writes. */
export class ChatTemplate {
  readonly #source: string;
  readonly #variables: Readonly<Record<string, string>>;

  constructor(source: string, config: TokenizerConfig) {
    this.#source = source;
    const tokens = TOKEN_NAMES.map((name) => [name, tokenText(config[name])] as const);
    this.#variables = Object.fromEntries(tokens.filter((entry): entry is [never, string] => entry[1] !== undefined));
  }

  /**
   * The template of a tokenizer, or null: `chat_template` in its config, which is a text or a list of named ones, of
   * which `default` is taken.
   * @throws CheckpointError if it is anything else.
   */
  static of({ config }: { readonly config: TokenizerConfig }): ChatTemplate | null {
    const { chat_template: stored } = config;
    if (stored === undefined || stored === null) return null;
    if (typeof stored === "string") return new ChatTemplate(stored, config);
    if (!Array.isArray(stored)) {
      throw new CheckpointError(
        `tokenizer_config.json: chat_template must be a text or a list of named ones, got ${shownValue(stored)}`,
      );
    }
    const named = stored as readonly { name?: unknown; template?: unknown }[];
    const usual = named.find((one) => one?.name === "default") ?? (named.length === 1 ? named[0] : undefined);
    if (typeof usual?.template === "string") return new ChatTemplate(usual.template, config);
    const names = shownValue(named.map((one) => one?.name ?? null));
    throw new CheckpointError(
      `tokenizer_config.json: chat_template has no template named "default" among ${names}; ` +
        "name a file with one as --chat-template",
    );
  }

  /**
   * Renders conversations in a separate process, which is stopped if the template loops forever or fills the memory.
   * @returns for each conversation the rendering, or the reason why the template refused it.
   * @throws DataError if the process had to be stopped.
   */
  async renderAll(conversations: readonly Conversation[], task: ChatTask): Promise<ChatAnswer[]> {
    const answers: ChatAnswer[] = [];
    if (conversations.length === 0) return answers;
    const work: ChatWork = { source: this.#source, variables: this.#variables, conversations, task };
    try {
      await runLimited(new URL("./chat-worker.js", import.meta.url), work, LIMITS, (answer) => {
        answers.push(answer as ChatAnswer);
      });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new DataError(
        `the chat template was stopped at conversation ${answers.length + 1}: ${cause.message}; ` +
          "name another with --chat-template",
        { cause },
      );
    }
    return answers;
  }

  /** Renders the text that the assistant is to continue. @throws DataError if the template refuses the conversation. */
  async prompt(conversation: Conversation): Promise<string> {
    const [answer] = await this.renderAll([conversation], "prompt");
    if (answer !== undefined && "text" in answer) return answer.text;
    throw new DataError(answer?.fault ?? "the chat template gave nothing");
  }
}

/** Reads a template from its own file. @throws DataError if it cannot be read, CheckpointError if it is too long. */
export async function readTemplateFile(path: string): Promise<string> {
  const size = await fileSize(path);
  if (size <= MAX_TEMPLATE_BYTES) return readText(path);
  throw new CheckpointError(`${path}: a chat template has at most ${MAX_TEMPLATE_BYTES} bytes, this file has ${size}`);
}

/** `chat_template.jinja` of a tokenizer's folder, which overrides tokenizer_config.json; undefined without one. */
export async function templateBeside(folder: string): Promise<string | undefined> {
  const path = await pathInside(folder, "chat_template.jinja");
  return (await exists(joinPath(folder, "chat_template.jinja"))) ? readTemplateFile(path) : undefined;
}

function tokenText(token: unknown): string | undefined {
  const text = typeof token === "object" && token !== null ? (token as { content?: unknown }).content : token;
  return typeof text === "string" ? text : undefined;
}
