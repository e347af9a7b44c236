import { cpuCount } from "#platform";
import {
  either,
  FLAG,
  FUNCTION,
  type Kind,
  type Kinds,
  listOf,
  orNull,
  requireArguments,
  requireOptions,
  SIGNAL,
  TEXT,
} from "../base/arguments.js";
import { ConfigError, DataError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { Listeners } from "../base/listeners.js";
import type { ChatMessage } from "../chats/chat-rendering.js";
import { SETTINGS } from "../config/settings.js";
import type { CausalLM } from "../models/causal-lm.js";
import { inOrder } from "../programs/batch-generator.js";
import type { Answer, WritingOptions } from "../programs/text-generator.js";
import { Program } from "../runtime/program.js";
import type { SessionOptions } from "../runtime/session.js";
import { placeholder } from "../tensor/tensor.js";
import { modelTokenizer } from "../tokenizers/model-tokenizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { noteUnused, Writer } from "./generate.js";
import { LOADING, type LoadModelOptions, MACHINE, type Named, nameOf, targetOptionsOf } from "./model-options.js";
import { completeOptions, type GivenOptions, type OptionTable } from "./option-table.js";
import { GENERATION_OPTIONS } from "./options.js";
import { Reply } from "./reply.js";
import { type LoadedTarget, loadTarget } from "./target.js";
import { type HoldingOptions, holding } from "./weight-holding.js";

/** Options of {@link loadModel}; all may be left out. */
export interface ModelOptions extends LoadModelOptions, HoldingOptions {
  /**
   * One of the tokenizer's chat templates by name, a file with one, or a built-in one. Default and null: as the messages
   * need it.
   */
  readonly chatTemplate?: string | null;
}

/** Options for one text; all may be left out. */
export interface GenerateOptions extends Partial<WritingOptions> {
  /** Tokens to write at most. Default 100. */
  readonly maxNewTokens?: number;
  /** Spread of the sampling; 0 takes the likeliest token. Default 0.8. */
  readonly temperature?: number;
  /** Sample from the k likeliest tokens. Default and null: from all. */
  readonly topK?: number | null;
  /** Sample from the likeliest tokens that hold this share of the probability. Default 1: from all. */
  readonly topP?: number;
  /** The same seed gives the same text. Default 0. */
  readonly seed?: number;
}

/** Options of one answer in a chat; all may be left out. */
export interface ChatOptions extends GenerateOptions {
  /** A system message in front of the others, which do not begin with another. Default and null: none. */
  readonly system?: string | null;
}

/** Options of {@link LanguageModel.generateMany}; all may be left out. */
export interface GenerateManyOptions extends Omit<GenerateOptions, "onText"> {
  /** Prompts at once. Default and null: as many as the memory allows, at most 16. */
  readonly batchSize?: number | null;
}

/** Scores of the next token at each position. */
export interface Logits {
  readonly shape: readonly [length: number, vocabulary: number];
  readonly data: Float32Array;
}

const { maxNewTokens, temperature, topK, topP, seed } = GENERATION_OPTIONS;
const SAMPLING = { maxNewTokens, temperature, topK, topP, seed } as const satisfies OptionTable;
const MANY = { ...SAMPLING, batchSize: GENERATION_OPTIONS.batchSize } as const satisfies OptionTable;
const STOP: Kind = {
  words: "a text of at least one character",
  holds: (value) => TEXT.holds(value) && value !== "",
};
const WRITING = { stop: listOf(STOP), onText: FUNCTION, signal: SIGNAL } as const satisfies Kinds;
const CHAT = { ...WRITING, system: orNull(TEXT) } as const satisfies Kinds;
const MANY_WRITING = { stop: WRITING.stop, signal: SIGNAL } as const satisfies Kinds;
const MODEL_TABLE = {
  chatTemplate: SETTINGS.chatTemplate,
  float32: GENERATION_OPTIONS.float32,
  keepQuantized: GENERATION_OPTIONS.keepQuantized,
} as const satisfies OptionTable;

const MESSAGES = listOf({
  words: "a message, an object with a role",
  holds: (value) =>
    isObject(value) &&
    typeof value.role === "string" &&
    (typeof value.content !== "string" || TEXT.holds(value.content)),
});
const PROMPT = either(TEXT, MESSAGES);
const IDS: Kind = {
  words: "a list of token ids, which are integers from 0 up",
  holds: (value) =>
    typeof value === "object" && value !== null && "length" in value && areIds(value as ArrayLike<unknown>),
};

/** Without a copy, as the length of an object may be any number. */
function areIds(values: ArrayLike<unknown>): boolean {
  for (let i = 0; i < values.length; i++) {
    const id = values[i];
    if (!Number.isInteger(id) || (id as number) < 0) return false;
  }
  return true;
}

/**
 * Loads a model to talk to: a run folder or a run that ended, a Hugging Face model or a PEFT adapter, quantized or
 * not; models and adapters are folders or names of the hub.
 * @throws CheckpointError or ConfigError saying what is missing; ConfigError for unknown options; DataError for a chat
 * template that is not there.
 */
export async function loadModel(target: Named, options: ModelOptions = {}): Promise<LanguageModel> {
  const name = nameOf("loadModel", target);
  requireOptions("loadModel", options, LOADING, [...Object.keys(MACHINE), ...Object.keys(MODEL_TABLE)]);
  const { chatTemplate, ...held } = completeOptions(MODEL_TABLE, options as GivenOptions);
  const targetOptions = targetOptionsOf(options);
  const { device, threads } = targetOptions;
  const loaded = await loadTarget(name, { ...targetOptions, ...holding(held, targetOptions) });
  await noteUnused(loaded, targetOptions);
  const model = new LanguageModel(name, loaded, { device, threads: threads ?? cpuCount() }, chatTemplate);
  // Reading the tokenizer finds the template.
  if (chatTemplate !== null) await model.tokenizer;
  return model;
}

/** A model in memory that writes, answers in chats and scores tokens. Calls at once are served one after the other. */
export class LanguageModel {
  /** The name that it was loaded by. */
  readonly name: string;
  readonly #loaded: LoadedTarget;
  readonly #session: SessionOptions;
  readonly #chatTemplate: string | null;
  #tokenizer: Promise<Tokenizer> | undefined;
  #writer: Promise<Writer> | undefined;
  #scoring: { readonly length: number; readonly program: Program } | undefined;
  #lastTurn: Promise<unknown> = Promise.resolve();
  #isDisposed = false;

  /** Made by {@link loadModel}. */
  constructor(name: string, loaded: LoadedTarget, session: SessionOptions, chatTemplate: string | null) {
    this.name = name;
    this.#loaded = loaded;
    this.#session = session;
    this.#chatTemplate = chatTemplate;
  }

  /** The modules and weights, for what `highrank/nn` and `highrank/models` do with them. */
  get module(): CausalLM {
    return this.#loaded.model;
  }

  /** Tokens that the model sees at most. */
  get maxSequenceLength(): number {
    return this.module.config.maxSequenceLength;
  }

  get vocabSize(): number {
    return this.module.config.vocabSize;
  }

  /** @throws CheckpointError through the promise if the model has none. */
  get tokenizer(): Promise<Tokenizer> {
    this.#tokenizer ??= modelTokenizer(this.#loaded.tokenizer, this.#chatTemplate);
    return this.#tokenizer;
  }

  /** The ids of a text that is to be continued, with what the tokenizer puts in front of texts. */
  async encode(text: string): Promise<number[]> {
    requireArguments("encode", { text: TEXT }, { text });
    const tokenizer = await this.tokenizer;
    return text === "" ? [...tokenizer.surround.before] : tokenizer.encodePrompt(text, null);
  }

  /** The text of ids, by default without special tokens. */
  async decode(ids: ArrayLike<number>, options: { readonly skipSpecialTokens?: boolean } = {}): Promise<string> {
    requireArguments("decode", { ids: IDS }, { ids });
    requireOptions("decode", options, { skipSpecialTokens: FLAG });
    const { skipSpecialTokens = true } = options;
    return (await this.tokenizer).decode(ids, { skipSpecialTokens });
  }

  /** Continues a text; an empty one as if a document begins. `await` gives the whole, `for await` its pieces. */
  generate(prompt: string, options: GenerateOptions = {}): Reply {
    return this.#reply("generate", { prompt: TEXT }, { prompt }, options, WRITING, (writer, writing) =>
      writer.continue(prompt, writing),
    );
  }

  /**
   * Writes the assistant's next turn. If the messages continue those of the last call, only the new ones are computed.
   * @param messages what was said, or what the user says.
   * @throws through the reply: ConfigError if there is no chat template, and for a system message beside another;
   * DataError if the template refuses the messages.
   */
  chat(messages: string | readonly ChatMessage[], options: ChatOptions = {}): Reply {
    return this.#reply("chat", { messages: PROMPT }, { messages }, options, CHAT, (writer, writing) => {
      const said = typeof messages === "string" ? [{ role: "user", content: messages }] : messages;
      return writer.answer(withSystem(said, options.system ?? null), writing);
    });
  }

  /**
   * Continues texts and answers chats, several at once, and gives the answers in the order of the prompts. Each is what
   * its prompt alone would get: samples depend on the seed and on the prompt's place. Leaving the loop ends it.
   * @param prompts texts, or messages that the assistant is to answer.
   * @throws ConfigError if there are messages and no chat template, DataError if it refuses some.
   */
  async *generateMany(
    prompts: readonly (string | readonly ChatMessage[])[],
    given: GenerateManyOptions = {},
  ): AsyncGenerator<Answer, void, undefined> {
    requireArguments("generateMany", { prompts: listOf(PROMPT) }, { prompts });
    requireOptions("generateMany", given, MANY_WRITING, Object.keys(MANY));
    const { signal, stop } = given;
    const values = completeOptions(MANY, given as GivenOptions);
    const asked = prompts.map((prompt) => (typeof prompt === "string" ? prompt : { messages: prompt }));
    let leave = (): void => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    await new Promise<void>((begin, fail) => {
      this.#inTurn(() => {
        begin();
        return left;
      }).catch(fail);
    });
    try {
      const options = { ...values, ...(stop !== undefined && { stop }), ...(signal !== undefined && { signal }) };
      yield* inOrder((await this.#openWriter()).answerEach(asked, options));
    } finally {
      leave();
    }
  }

  /**
   * Scores of the next token after each of these. A program is compiled for each new number of ids.
   * @throws DataError unless there is at least one, at most `maxSequenceLength`, all below `vocabSize`.
   */
  logits(ids: ArrayLike<number>): Promise<Logits> {
    return this.#inTurn(async () => {
      requireArguments("logits", { ids: IDS }, { ids });
      const inputIds = Int32Array.from(ids);
      const length = inputIds.length;
      this.#requireIds(ids);
      if (this.#scoring?.length !== length) {
        await this.#scoring?.program.release();
        this.#scoring = undefined;
        const logits = this.module.logits(placeholder("ids", [1, length], "int32"));
        this.#scoring = { length, program: await Program.compile({ logits }, this.#session) };
      }
      const { logits } = await this.#scoring.program.run({ ids: inputIds });
      return { shape: [length, this.vocabSize], data: logits!.data as Float32Array };
    });
  }

  /** Lets go of what it holds, after the calls under way. The model cannot be used any more. */
  dispose(): Promise<void> {
    return this.#lastTurn.then(async () => {
      this.#isDisposed = true;
      await (await this.#writer?.catch(() => undefined))?.release();
      await this.#scoring?.program.release();
      this.#writer = undefined;
      this.#scoring = undefined;
    });
  }

  #reply(
    call: string,
    argument: Kinds,
    said: Readonly<Record<string, unknown>>,
    options: GenerateOptions,
    kinds: Kinds,
    write: (writer: Writer, options: WritingOptions) => ReturnType<Writer["continue"]>,
  ): Reply {
    return new Reply((show, left) =>
      this.#inTurn(async () => {
        requireArguments(call, argument, said);
        requireOptions(call, options, kinds, Object.keys(SAMPLING));
        options.signal?.throwIfAborted();
        const listeners = new Listeners(options.signal);
        const { signal } = listeners;
        const { onText: hear, stop } = listeners.guarded(options);
        const values = completeOptions(SAMPLING, options as GivenOptions);
        const onText = (piece: string): void => {
          show(piece);
          hear?.(piece);
        };
        signal.addEventListener("abort", () => left.abort(signal.reason), { signal: left.signal });
        const writing = { ...values, ...(stop !== undefined && { stop }), onText, signal: left.signal };
        return listeners.resultOf(write(await this.#openWriter(), writing));
      }),
    );
  }

  #openWriter(): Promise<Writer> {
    this.#writer ??= this.tokenizer.then((tokenizer) => Writer.of(this.name, this.#loaded, tokenizer, this.#session));
    return this.#writer;
  }

  /** A model computes one thing at a time. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(() => {
      if (this.#isDisposed) throw new ConfigError(`${this.name}: was disposed of; load it again`);
      return action();
    });
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }

  #requireIds(ids: ArrayLike<number>): void {
    const { vocabSize, maxSequenceLength } = this;
    if (ids.length < 1 || ids.length > maxSequenceLength) {
      throw new DataError(
        `logits: needs from 1 to ${maxSequenceLength} ids, the length of ${this.name}, got ${ids.length}`,
      );
    }
    const wrong = Array.from(ids).find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong === undefined) return;
    throw new DataError(`logits: ids must be integers from 0 to ${vocabSize - 1}, the vocabulary, got ${wrong}`);
  }
}

/** @throws ConfigError if the messages begin with another system message: a template may show either or both. */
function withSystem(messages: readonly ChatMessage[], system: string | null): readonly ChatMessage[] {
  const [first] = messages;
  if (system === null) return messages;
  if (first?.role !== "system") return [{ role: "system", content: system }, ...messages];
  if (first.content === system) return messages;
  throw new ConfigError("chat: system must not differ from the first message, which is of the system; leave one out");
}
