import { cpuCount } from "#platform";
import { ConfigError } from "../base/errors.js";
import { either, optionName } from "../base/naming.js";
import type { ChatMessage } from "../chats/chat-rendering.js";
import { ChatTemplate } from "../chats/chat-template.js";
import { findTurnEnd } from "../chats/turn-end.js";
import { readBeginId, readEndIds } from "../formats/generation-config.js";
import type { Generation, WritingOptions } from "../programs/text-generator.js";
import { TextGenerator } from "../programs/text-generator.js";
import type { SessionOptions } from "../runtime/session.js";
import { Rng } from "../tensor/random.js";
import { modelTokenizer, WITHOUT_TOKENS } from "../tokenizers/model-tokenizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import type { LoadedTarget, TargetOptions } from "./target.js";
import { loadTarget } from "./target.js";

/** Options of {@link generateText}. */
export interface GenerationOptions extends TargetOptions, WritingOptions {
  readonly prompt: string;
}

/** Options of {@link Writer.open}. */
export interface WriterOptions extends TargetOptions {
  /** One of the tokenizer's chat templates by name, or a file with one. Default null: as the messages need it. */
  readonly chatTemplate?: string | null;
  /** Hold 16-bit weights in float32, which is faster and takes twice the memory. Default false. */
  readonly float32?: boolean;
}

/** A model in memory that continues prompts and answers in chats. The same seed gives the same text. */
export class Writer {
  readonly #target: string;
  readonly #tokenizer: Tokenizer;
  readonly #generator: TextGenerator;
  #turnEnd: Promise<number | undefined> | undefined;

  private constructor(target: string, tokenizer: Tokenizer, generator: TextGenerator) {
    this.#target = target;
    this.#tokenizer = tokenizer;
    this.#generator = generator;
  }

  /** Loads a model; it must be released. @throws CheckpointError or ConfigError if there is none. */
  static async open(
    target: string,
    { chatTemplate = null, float32 = false, device, threads, ...options }: WriterOptions,
  ): Promise<Writer> {
    const loaded = await loadTarget(target, { ...options, ...(!float32 && { device }) });
    const tokenizer = await modelTokenizer(loaded.tokenizer, chatTemplate);
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
    return new Writer(target, tokenizer, new TextGenerator(model, tokenizer, session, endIds, beginId));
  }

  /** True if the tokenizer has a chat template. */
  get hasTemplate(): boolean {
    return ChatTemplate.of(this.#tokenizer) !== null;
  }

  /** Continues a prompt. */
  continue(prompt: string, options: WritingOptions): Promise<Generation> {
    return this.#generator.generate(prompt, options, new Rng(options.seed, "generate"));
  }

  /**
   * Writes the assistant's next turn, up to the token that ends turns in the template. If the messages continue those
   * of the last call, only the new ones are computed.
   * @throws ConfigError if the tokenizer has no chat template; DataError if the template rejects the messages.
   */
  async answer(messages: readonly ChatMessage[], options: WritingOptions): Promise<Generation> {
    const template = ChatTemplate.of(this.#tokenizer);
    if (template === null) {
      throw new ConfigError(
        `${this.#target}: its tokenizer has no chat template; name one as ${optionName("chatTemplate")}, ` +
          `a file or one of ${WITHOUT_TOKENS.join(", ")}, or ${either("use generate", "leave out --chat")} to continue a text`,
      );
    }
    const ids = this.#tokenizer.encode(await template.prompt({ messages }));
    this.#turnEnd ??= findTurnEnd(this.#tokenizer);
    const turnEnd = await this.#turnEnd;
    const endIds = turnEnd === undefined ? [] : [turnEnd];
    return this.#generator.continueTokens(ids, options, new Rng(options.seed, "generate", messages.length), endIds);
  }

  release(): Promise<void> {
    return this.#generator.release();
  }
}

/**
 * Continues a prompt. The same seed gives the same text. @throws CheckpointError or ConfigError if there is no model.
 */
export async function generateText(target: string, options: GenerationOptions): Promise<Generation> {
  const writer = await Writer.open(target, options);
  try {
    return await writer.continue(options.prompt, options);
  } finally {
    await writer.release();
  }
}
