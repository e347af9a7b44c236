import { exists, fileSize, joinPath, pathInside, readText, runLimited } from "#platform";
import { CheckpointError, DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import type { Conversation, RenderedConversation } from "./chat-rendering.js";
import type { TokenizerConfig } from "./tokenizer.js";

/** Longest template that is read, in bytes; published ones have up to some ten thousand. */
const MAX_TEMPLATE_BYTES = 1_000_000;

const LIMITS = { seconds: 10, heapMegabytes: 256 } as const;

/** Special tokens that templates know by these names. */
const TOKEN_NAMES = ["bos_token", "eos_token", "unk_token", "pad_token"] as const;

/** What to render a conversation for: with what the assistant wrote, for its next turn, or as it is. */
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
   * The template that a tokenizer comes with, or null: `chat_template` in its config, a text or a list of named ones of which `default`
   * is taken. @throws CheckpointError for a config that has it otherwise.
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
      `tokenizer_config.json: chat_template has no template named "default" among ${names}; name a file with one as --chat-template`,
    );
  }

  /**
   * Renders conversations in a process of its own, which is stopped when the template finds no end or fills the memory.
   * @returns for each what came out, or what the template had against it.
   * @throws DataError where it had to be stopped.
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
        `the chat template was stopped at conversation ${answers.length + 1}: ${cause.message}; name another with --chat-template`,
        { cause },
      );
    }
    return answers;
  }

  /** The text that the assistant is to continue. @throws DataError with what the template has against the conversation. */
  async prompt(conversation: Conversation): Promise<string> {
    const [answer] = await this.renderAll([conversation], "prompt");
    if (answer !== undefined && "text" in answer) return answer.text;
    throw new DataError(answer?.fault ?? "the chat template gave nothing");
  }
}

/** The template in a file of its own. @throws DataError if it cannot be read, CheckpointError if it is too long. */
export async function readTemplateFile(path: string): Promise<string> {
  const size = await fileSize(path);
  if (size <= MAX_TEMPLATE_BYTES) return readText(path);
  throw new CheckpointError(`${path}: a chat template has at most ${MAX_TEMPLATE_BYTES} bytes, this file has ${size}`);
}

/** `chat_template.jinja` of a tokenizer's folder, which counts more than what tokenizer_config.json has; undefined without one. */
export async function templateBeside(folder: string): Promise<string | undefined> {
  const path = await pathInside(folder, "chat_template.jinja");
  return (await exists(joinPath(folder, "chat_template.jinja"))) ? readTemplateFile(path) : undefined;
}

function tokenText(token: unknown): string | undefined {
  const text = typeof token === "object" && token !== null ? (token as { content?: unknown }).content : token;
  return typeof text === "string" ? text : undefined;
}
