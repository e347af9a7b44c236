import {
  baseName,
  exists,
  extension,
  fileSize,
  isDirectory,
  listFolder,
  pathInside,
  readText,
  runLimited,
} from "#platform";
import { CheckpointError, DataError } from "../base/errors.js";
import { isObject, shownValue } from "../base/json.js";
import { writePythonJson } from "../base/python-json.js";
import type { Conversation, RenderedConversation, ScoredTurns } from "./chat-rendering.js";
import { contentOf } from "./outside-tokens.js";
import type { TokenizerConfig } from "./tokenizer.js";

/** Longest template that is read, in bytes; published ones have up to some ten thousand. */
const MAX_TEMPLATE_BYTES = 1_000_000;

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

/** Names that transformers gives a meaning: the usual template, and that for conversations with tools. */
const DEFAULT = "default";
const TOOL_USE = "tool_use";

/** Folder of the templates with other names than `default`, a file for each. */
export const ADDITIONAL_TEMPLATES = "additional_chat_templates";

/** A template of a tokenizer that has several. */
export interface NamedTemplate {
  readonly name: string;
  readonly template: string;
}

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

  /**
   * The template of a tokenizer, or null: `chat_template` in its config, which is a text or several by name. Of these
   * `tool_use` renders conversations with tools, and `default` the others, as in transformers.
   * @throws CheckpointError if it is anything else, or none is named default.
   */
  static of({ config }: { readonly config: TokenizerConfig }): ChatTemplate | null {
    const { chat_template: stored } = config;
    if (stored === undefined || stored === null) return null;
    if (typeof stored === "string") return new ChatTemplate(stored, config);
    const named = namedTemplates(config);
    const only = named.length === 1 && named[0]!.name !== TOOL_USE ? named[0]!.template : undefined;
    const usual = templateNamed(config, DEFAULT) ?? only;
    if (usual !== undefined) return new ChatTemplate(usual, config, templateNamed(config, TOOL_USE));
    const names = shownValue(named.map(({ name }) => name));
    throw new CheckpointError(
      `tokenizer_config.json: chat_template has no template named "${DEFAULT}" among ${names}; ` +
        "name one of them, or a file with one, as --chat-template",
    );
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
      `the chat template was stopped at conversation ${places[done]! + 1}: ${cause.message}; ` +
        "name another with --chat-template",
      { cause },
    );
  }
}

/** The day here, as YYYY-MM-DD. */
export function today(): string {
  const now = new Date();
  return new Date(now.getTime() - 60_000 * now.getTimezoneOffset()).toISOString().slice(0, 10);
}

/** Reads a template from its own file. @throws DataError if it cannot be read, CheckpointError if it is too long. */
export async function readTemplateFile(path: string): Promise<string> {
  const size = await fileSize(path);
  if (size <= MAX_TEMPLATE_BYTES) return readText(path);
  throw new CheckpointError(`${path}: a chat template has at most ${MAX_TEMPLATE_BYTES} bytes, this file has ${size}`);
}

/**
 * The templates in the files of a tokenizer's folder, which override tokenizer_config.json: chat_template.jinja, and
 * others by name in `additional_chat_templates`. Undefined without any.
 */
export async function templatesBeside(folder: string): Promise<string | NamedTemplate[] | undefined> {
  const usual = await pathInside(folder, "chat_template.jinja");
  const template = (await exists(usual)) ? await readTemplateFile(usual) : undefined;
  const named: NamedTemplate[] = template === undefined ? [] : [{ name: DEFAULT, template }];
  for (const file of await additionalTemplates(folder)) {
    const name = baseName(file).slice(0, -extension(file).length);
    named.push({ name, template: await readTemplateFile(await pathInside(folder, file)) });
  }
  return named.length > 1 || (named.length === 1 && template === undefined) ? named : template;
}

/** Paths in a model folder of its templates with names of their own. */
export async function additionalTemplates(folder: string): Promise<string[]> {
  const path = await pathInside(folder, ADDITIONAL_TEMPLATES);
  if (!(await isDirectory(path))) return [];
  const names = (await listFolder(path)).filter((name) => extension(name) === ".jinja" && !name.startsWith("."));
  return names.map((name) => `${ADDITIONAL_TEMPLATES}/${name}`);
}

/** The template of this name in a tokenizer's config; undefined if it has none. @throws CheckpointError */
export function templateNamed(config: TokenizerConfig, name: string): string | undefined {
  return namedTemplates(config).find((one) => one.name === name)?.template;
}

/** Names of the templates in a tokenizer's config; none if it has one template at most. @throws CheckpointError */
export function templateNames(config: TokenizerConfig): string[] {
  return namedTemplates(config).map(({ name }) => name);
}

/** @throws CheckpointError unless the config has templates as transformers stores them, or none. */
function namedTemplates({ chat_template: stored }: TokenizerConfig): NamedTemplate[] {
  if (stored === undefined || stored === null || typeof stored === "string") return [];
  const named = isObject(stored) ? Object.entries(stored).map(([name, template]) => ({ name, template })) : stored;
  if (Array.isArray(named) && named.every(isNamedTemplate)) return named;
  throw new CheckpointError(
    `tokenizer_config.json: chat_template must be a text or texts by name, got ${shownValue(stored)}`,
  );
}

function isNamedTemplate(value: unknown): value is NamedTemplate {
  return isObject(value) && typeof value.name === "string" && typeof value.template === "string";
}
