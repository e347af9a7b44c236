import { nextTurn } from "#platform";
import { ConfigError, DataError } from "../../base/errors.js";
import { forCommandLine, optionName } from "../../base/naming.js";
import { ChatProcesses } from "../../chats/chat-processes.js";
import type { BatchGenerator, BatchPrompt, BatchText } from "../../programs/batch-generator.js";
import { Rng } from "../../tensor/random.js";
import type { Writer } from "../generate.js";
import { type FromEngine, isConversation, type Question, type Refusal } from "./messages.js";
import { Pieces } from "./pieces.js";

/** Chats that are rendered at once, where templates take long. */
const RENDERED_AT_ONCE = 4;
/** Milliseconds after which the others do not wait for a rendering. */
const SLOW_MS = 500;

/** A question on its way to its answer. */
interface Work {
  readonly id: number;
  readonly question: Question;
  readonly lane: Lane;
  prompt?: BatchPrompt;
  maxNewTokens?: number;
  text?: BatchText;
  pieces?: Pieces;
}

/** A model and what it is writing. */
interface Lane {
  readonly writer: Writer;
  generator: BatchGenerator;
  readonly open: Map<BatchText, Work>;
}

export interface SchedulerOptions {
  /** Answers at once, of all models together. */
  readonly parallel: number;
  /** Most tokens of a prompt and its answer together. */
  readonly contextTokens: number;
  readonly post: (message: FromEngine) => void;
}

/**
 * Answers questions in the order in which they come, several at once: one that is asked while others are being written
 * joins them at their next token.
 */
export class Scheduler {
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #options: SchedulerOptions;
  /** All questions that are neither answered nor left. */
  readonly #works: Map<number, Work> = new Map();
  /** Chats that are still to be rendered. */
  #asked: Work[] = [];
  /** Questions with their tokens, first come first. */
  #ready: Work[] = [];
  readonly #processes = new ChatProcesses();
  /** Chats that are being rendered, and those of them that have not taken long. */
  #rendering = 0;
  #quick = 0;
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(writers: ReadonlyMap<string, Writer>, options: SchedulerOptions) {
    this.#options = options;
    this.#lanes = new Map(
      [...writers].map(([name, writer]) => [
        name,
        { writer, generator: writer.batch(options.parallel), open: new Map<BatchText, Work>() },
      ]),
    );
  }

  ask(id: number, question: Question): void {
    const work = { id, question, lane: this.#lanes.get(question.model)! };
    this.#works.set(id, work);
    if (isConversation(question.prompt)) {
      this.#asked.push(work);
      this.#renderNext();
    } else void this.#prepare(work);
  }

  /** Forgets a question that nobody waits for. */
  leave(id: number): void {
    const work = this.#works.get(id);
    if (work === undefined) return;
    this.#works.delete(id);
    this.#asked = this.#asked.filter((other) => other !== work);
    this.#ready = this.#ready.filter((other) => other !== work);
    if (work.text !== undefined) {
      work.lane.open.delete(work.text);
      work.lane.generator.leave(work.text);
    }
  }

  /** Ends an answer as it is; refuses a question whose answer has not begun. */
  cut(id: number): void {
    const work = this.#works.get(id);
    if (work === undefined) return;
    if (work.text === undefined) {
      this.#refuse(work, {
        status: 503,
        code: "timeout",
        message: "the server is busy: the time for an answer was up before it began; ask again later",
      });
    } else this.#end(work);
  }

  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  /** Works until it is closed. */
  async run(): Promise<void> {
    while (!this.#isClosed) {
      this.#admit();
      const busy = [...this.#lanes.values()].filter(({ open }) => open.size > 0);
      if (busy.length === 0 && !this.#isClosed) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      for (const lane of busy) await this.#step(lane);
      // Messages come in between two tokens.
      await nextTurn();
    }
    this.#processes.close();
    for (const { generator } of this.#lanes.values()) await generator.release();
  }

  /**
   * Renders the next chats one by one, since a process for each would cost more than it renders. Another process
   * begins where one takes long, up to a few.
   */
  #renderNext(): void {
    if (this.#asked.length === 0 || this.#quick > 0 || this.#rendering >= RENDERED_AT_ONCE) return;
    void this.#renderSome();
  }

  async #renderSome(): Promise<void> {
    this.#rendering++;
    this.#quick++;
    while (this.#asked.length > 0 && !this.#isClosed) {
      let isQuick = true;
      const timer = setTimeout(() => {
        isQuick = false;
        this.#quick--;
        this.#renderNext();
      }, SLOW_MS);
      await this.#prepare(this.#asked.shift()!);
      clearTimeout(timer);
      if (!isQuick) this.#quick++;
    }
    this.#quick--;
    this.#rendering--;
  }

  /** Makes a question ready to be answered, or refuses it. */
  async #prepare(work: Work): Promise<void> {
    try {
      const text = await this.#textOf(work);
      if (text !== undefined && this.#works.has(work.id)) await this.#prepareOne(work, text);
    } catch (error) {
      if (this.#isClosed || !this.#works.has(work.id)) return;
      this.#refuse(work, refusalOf(error, this.#options.post));
    }
  }

  /** Text for the model to continue, empty for tokens; undefined for a question that was refused. */
  async #textOf(work: Work): Promise<string | undefined> {
    const { model, prompt } = work.question;
    if (!isConversation(prompt)) return isTokens(prompt) ? "" : prompt;
    if (!work.lane.writer.hasTemplate) {
      const message =
        `${model} has no chat template: ask for a completion, or start the server with one ` +
        `(${optionName("chatTemplate")})`;
      this.#refuse(work, { status: 400, code: "no_chat_template", message: forCommandLine(message) });
      return undefined;
    }
    const answer = await work.lane.writer.renderOne(prompt, this.#processes);
    if ("text" in answer) return answer.text;
    if (this.#works.has(work.id)) {
      this.#refuse(work, { status: 400, code: "invalid_value", message: `messages: ${answer.fault}` });
    }
    return undefined;
  }

  async #prepareOne(work: Work, rendered: string): Promise<void> {
    const { prompt, seed, maxNewTokens } = work.question;
    const { contextTokens } = this.#options;
    const encoded = await work.lane.writer.encode(prompt, rendered, this.#processes);
    if (!this.#works.has(work.id)) return;
    const room = Math.min(contextTokens, work.lane.writer.contextTokens) - encoded.ids.length;
    if (room < 1 || encoded.ids.length === 0) {
      const is = encoded.ids.length === 0 ? "is empty" : `has ${encoded.ids.length} tokens`;
      const message = `the prompt ${is}; it must have from 1 to ${room + encoded.ids.length - 1}`;
      return this.#refuse(work, { status: 400, code: "context_length_exceeded", message });
    }
    // As `generate` draws.
    const rng = isConversation(prompt) ? new Rng(seed, "generate", prompt.messages.length) : new Rng(seed, "generate");
    work.prompt = { ...encoded, rng };
    work.maxNewTokens = Math.min(room, maxNewTokens ?? room);
    const later = this.#ready.findIndex(({ id }) => id > work.id);
    this.#ready.splice(later < 0 ? this.#ready.length : later, 0, work);
    if (isConversation(prompt)) this.#options.post({ kind: "rendered", id: work.id });
    this.#wake();
  }

  /** Begins answers while there is room. */
  #admit(): void {
    let open = 0;
    for (const lane of this.#lanes.values()) open += lane.open.size;
    for (; open < this.#options.parallel && this.#ready.length > 0; open++) this.#begin(this.#ready.shift()!);
  }

  #begin(work: Work): void {
    const { id, lane, question } = work;
    const { post } = this.#options;
    const { stop, temperature, topK, topP, likeliest } = question;
    const pieces = new Pieces(
      likeliest,
      (token) => lane.writer.textOf(token),
      (piece) => post({ kind: "piece", id, piece }),
    );
    const onText = (text: string): void => pieces.push(text);
    try {
      work.text = lane.generator.begin(work.prompt!, {
        ...{ temperature, topK, topP, stop, maxNewTokens: work.maxNewTokens! },
        ...{ onText, tokens: pieces.listener },
      });
    } catch (error) {
      this.#refuse(work, refusalOf(error, post));
      return;
    }
    work.pieces = pieces;
    lane.open.set(work.text, work);
    post({ kind: "begun", id });
  }

  async #step(lane: Lane): Promise<void> {
    try {
      for (const text of await lane.generator.step()) this.#end(lane.open.get(text)!);
    } catch (error) {
      const refusal = refusalOf(error, this.#options.post);
      for (const work of lane.open.values()) this.#refuse(work, refusal);
      lane.open.clear();
      await lane.generator.release();
      lane.generator = lane.writer.batch(this.#options.parallel);
    }
  }

  #end(work: Work): void {
    const { tokens, promptTokens, finish } = work.text!.answer;
    work.pieces!.end(finish === "stop");
    this.#options.post({ kind: "ended", id: work.id, ending: { tokens, promptTokens, finish } });
    this.leave(work.id);
  }

  #refuse(work: Work, refusal: Refusal): void {
    this.leave(work.id);
    this.#options.post({ kind: "refused", id: work.id, refusal });
  }
}

/** Faults of the request are told to the client; all others to whoever runs the server. */
function refusalOf(error: unknown, post: SchedulerOptions["post"]): Refusal {
  if (error instanceof DataError || error instanceof ConfigError) {
    return { status: 400, code: "invalid_value", message: error.message };
  }
  post({ kind: "notice", text: `an answer failed: ${error instanceof Error ? error.message : String(error)}` });
  return { status: 500, code: "server_error", message: "the server failed to answer" };
}

function isTokens(prompt: Question["prompt"]): prompt is readonly number[] {
  return Array.isArray(prompt);
}
