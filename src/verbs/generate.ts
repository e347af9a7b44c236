import { availableMemoryBytes, cpuCount } from "#platform";
import { OBJECT, requireArguments, TEXT } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { either, optionName } from "../base/naming.js";
import type { ChatProcesses } from "../chats/chat-processes.js";
import type { ChatMessage, Conversation } from "../chats/chat-rendering.js";
import { ChatTemplate, today } from "../chats/chat-template.js";
import { findTurnEnd } from "../chats/turn-end.js";
import { requireNoFaults } from "../data/jsonl-format.js";
import type { Prompt } from "../data/prompts.js";
import { readBeginId, readEndIds, unusedChoices } from "../formats/generation-config.js";
import type { CausalLM } from "../models/causal-lm.js";
import { BatchGenerator, type BatchPrompt, rowsFor } from "../programs/batch-generator.js";
import type { Answer, Generation, WritingOptions } from "../programs/text-generator.js";
import { TextGenerator } from "../programs/text-generator.js";
import type { SessionOptions } from "../runtime/session.js";
import { Rng } from "../tensor/random.js";
import { modelTokenizer, WITHOUT_TOKENS } from "../tokenizers/model-tokenizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import type { LoadedTarget, TargetOptions } from "./target.js";
import { loadTarget } from "./target.js";
import { type HoldingOptions, holding } from "./weight-holding.js";

/** Options of {@link generateText}. */
export interface GenerationOptions extends TargetOptions, WritingOptions {
  readonly prompt: string;
}

/** Options of {@link Writer.open}. */
export interface WriterOptions extends TargetOptions, HoldingOptions {
  /** One of the tokenizer's chat templates by name, or a file with one. Default null: as the messages need it. */
  readonly chatTemplate?: string | null;
}

/** Options of {@link Writer.answerEach}. */
export interface ManyOptions extends Omit<WritingOptions, "onText"> {
  /** Prompts at once. Null: as many as the memory allows, at most 16. */
  readonly batchSize: number | null;
}

/** The text of a conversation, or why the template refused it. */
export type Rendered = { readonly text: string } | { readonly fault: string };

const NOT_RENDERED: Rendered = { fault: "the chat template gave nothing" };

/** Share of the memory at hand for the keys and values of several prompts. */
const CACHE_SHARE = 0.5;

/** Tells which settings of the model's generation_config.json are not applied. */
export async function noteUnused(
  { folder }: Pick<LoadedTarget, "folder">,
  { onNotice }: Pick<TargetOptions, "onNotice">,
): Promise<void> {
  const unused = await unusedChoices(folder);
  if (unused.length === 0) return;
  onNotice?.(`generation_config.json asks for what is not done here, and is ignored: ${unused.join(", ")}.`);
}

/** A model in memory that continues prompts and answers in chats. The same seed gives the same text. */
export class Writer {
  readonly #target: string;
  readonly #tokenizer: Tokenizer;
  readonly #model: CausalLM;
  readonly #session: SessionOptions;
  readonly #endIds: ReadonlySet<number>;
  readonly #beginId: number | null;
  #generator: TextGenerator | undefined;
  #turnEnd: Promise<number | undefined> | undefined;

  private constructor(
    target: string,
    model: CausalLM,
    tokenizer: Tokenizer,
    session: SessionOptions,
    { endIds, beginId }: { readonly endIds: ReadonlySet<number>; readonly beginId: number | null },
  ) {
    this.#target = target;
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#session = session;
    this.#endIds = endIds;
    this.#beginId = beginId;
  }

  /** Loads a model; it must be released. @throws CheckpointError or ConfigError if there is none. */
  static async open(
    target: string,
    { chatTemplate = null, float32 = false, keepQuantized = false, ...options }: WriterOptions,
  ): Promise<Writer> {
    const { device, threads } = options;
    const loaded = await loadTarget(target, { ...options, ...holding({ float32, keepQuantized }, options) });
    const tokenizer = await modelTokenizer(loaded.tokenizer, chatTemplate);
    await noteUnused(loaded, options);
    return Writer.of(target, loaded, tokenizer, { device, threads: threads ?? cpuCount() });
  }

  /** A writer with a model that is loaded already; it must be released. @param target named in errors. */
  static async of(
    target: string,
    { model, folder }: LoadedTarget,
    tokenizer: Tokenizer,
    session: SessionOptions,
  ): Promise<Writer> {
    const endOfText = tokenizer.findEndOfText();
    const endIds = [...(await readEndIds(folder)), ...(endOfText === undefined ? [] : [endOfText])];
    const beginId = (await readBeginId(folder)) ?? tokenizer.findBeginOfText() ?? null;
    return new Writer(target, model, tokenizer, session, { endIds: new Set(endIds), beginId });
  }

  /** True if the tokenizer has a chat template. */
  get hasTemplate(): boolean {
    return ChatTemplate.of(this.#tokenizer) !== null;
  }

  /** @throws ConfigError if the tokenizer has no chat template. */
  requireTemplate(): void {
    this.#template();
  }

  /** Continues a prompt. */
  continue(prompt: string, options: WritingOptions): Promise<Generation> {
    return this.#single().generate(prompt, options, new Rng(options.seed, "generate"));
  }

  /**
   * Writes the assistant's next turn, up to the token that ends turns in the template. If the messages continue those
   * of the last call, only the new ones are computed.
   * @throws ConfigError if the tokenizer has no chat template; DataError if the template rejects the messages.
   */
  async answer(messages: readonly ChatMessage[], options: WritingOptions): Promise<Generation> {
    const ids = this.#tokenizer.encode(await this.#template().prompt({ messages }));
    const turnEnd = await this.#findTurnEnd();
    const endIds = turnEnd === undefined ? [] : [turnEnd];
    return this.#single().continueTokens(ids, options, new Rng(options.seed, "generate", messages.length), endIds);
  }

  /**
   * Continues texts and answers in conversations, several at once, and gives each with its place as soon as it has
   * ended. What it draws for a prompt depends on the seed and the place, from 0.
   * @param nameOf names a prompt in errors. Default: `prompt 1` and so on.
   * @throws ConfigError as `answer`; DataError naming each conversation that the template rejects.
   */
  async *answerEach(
    prompts: readonly Prompt[],
    options: ManyOptions,
    nameOf: (place: number) => string = (place) => `prompt ${place + 1}`,
  ): AsyncGenerator<[place: number, answer: Answer], void, undefined> {
    if (prompts.length === 0) return;
    const rendered = await this.render(prompts, nameOf);
    const longest = rendered.reduce((a, b) => (b.length > a.length ? b : a));
    const tokens = this.#tokenizer.encode(longest).length + options.maxNewTokens;
    const rows = options.batchSize ?? this.rowsFor(tokens);
    const batch = this.batch(Math.min(rows, prompts.length));
    try {
      yield* batch.answers(this.#encoded(prompts, rendered, options.seed), options);
    } finally {
      await batch.release();
    }
  }

  /** Tokens that the model sees at most. */
  get contextTokens(): number {
    return this.#model.config.maxSequenceLength;
  }

  /** Texts of so many tokens that the memory at hand has room for at once, from 1 to 16. */
  rowsFor(tokens: number): number {
    return rowsFor(this.#model, tokens, CACHE_SHARE * availableMemoryBytes());
  }

  /** A generator for several texts at once, which must be released. */
  batch(rows: number): BatchGenerator {
    return new BatchGenerator(this.#model, this.#tokenizer, this.#session, rows);
  }

  /**
   * The texts that the model is to continue.
   * @throws ConfigError without a chat template; DataError with every conversation that the template rejects.
   */
  async render(prompts: readonly Prompt[], nameOf: (place: number) => string): Promise<string[]> {
    const faults: string[] = [];
    const chats = prompts.filter((prompt) => typeof prompt !== "string");
    const answers = (chats.length === 0 ? [] : await this.#template().renderAll(chats, "prompt")).values();
    const texts = prompts.map((prompt, place) => {
      if (typeof prompt === "string") return prompt;
      const answer: Rendered = answers.next().value ?? NOT_RENDERED;
      if ("text" in answer) return answer.text;
      faults.push(`${nameOf(place)}: ${answer.fault}`);
      return "";
    });
    requireNoFaults(faults, "prompts");
    return texts;
  }

  /**
   * The text of a conversation that the model is to continue, or what is wrong with it.
   * @throws ConfigError without a chat template; DataError if it had to be stopped.
   */
  async renderOne(conversation: Conversation, processes: ChatProcesses): Promise<Rendered> {
    const [answer] = await this.#template().renderAll([conversation], "prompt", today(), processes);
    return answer ?? NOT_RENDERED;
  }

  /**
   * The tokens of a prompt that was rendered, and those that end its answer.
   * @param processes that render, as of `findTurnEnd`.
   */
  async encode(
    prompt: Prompt | readonly number[],
    rendered: string,
    processes?: ChatProcesses,
  ): Promise<Omit<BatchPrompt, "rng">> {
    if (typeof prompt === "object" && "length" in prompt) return { ids: prompt, isEnd: (id) => this.#endIds.has(id) };
    if (typeof prompt === "string") {
      const ids = this.#tokenizer.encodePrompt(rendered, this.#beginId);
      return { ids, isEnd: (id) => this.#endIds.has(id) };
    }
    const turnEnd = await this.#findTurnEnd(processes);
    const isEnd = (id: number): boolean => id === turnEnd || this.#endIds.has(id);
    return { ids: this.#tokenizer.encode(rendered), isEnd };
  }

  /** The text that a token adds to one before it. */
  textOf(token: number): string {
    const decode = (...ids: number[]): string => this.#tokenizer.decode(ids, { cleanUpSpaces: false });
    return decode(token, token).slice(decode(token).length);
  }

  async release(): Promise<void> {
    await this.#generator?.release();
  }

  #single(): TextGenerator {
    this.#generator ??= new TextGenerator(this.#model, this.#tokenizer, this.#session, this.#endIds, this.#beginId);
    return this.#generator;
  }

  #template(): ChatTemplate {
    const template = ChatTemplate.of(this.#tokenizer);
    if (template !== null) return template;
    throw new ConfigError(
      `${this.#target}: its tokenizer has no chat template; name one as ${optionName("chatTemplate")}, ` +
        `a file or one of ${WITHOUT_TOKENS.join(", ")}, or ${either("use generate", "use generate without --chat")} to continue a text`,
    );
  }

  #findTurnEnd(processes?: ChatProcesses): Promise<number | undefined> {
    this.#turnEnd ??= findTurnEnd(this.#tokenizer, processes);
    return this.#turnEnd;
  }

  async *#encoded(
    prompts: readonly Prompt[],
    texts: readonly string[],
    seed: number,
  ): AsyncGenerator<BatchPrompt, void, undefined> {
    for (const [place, text] of texts.entries()) {
      yield { ...(await this.encode(prompts[place]!, text)), rng: new Rng(seed, "generate", place) };
    }
  }
}

/**
 * Continues a prompt. The same seed gives the same text. @throws CheckpointError or ConfigError if there is no model.
 */
export async function generateText(target: string, options: GenerationOptions): Promise<Generation> {
  requireArguments("generateText", { target: TEXT, options: OBJECT }, { target, options });
  requireArguments("generateText", { prompt: TEXT }, { prompt: options.prompt });
  const writer = await Writer.open(target, options);
  try {
    return await writer.continue(options.prompt, options);
  } finally {
    await writer.release();
  }
}
