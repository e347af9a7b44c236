import { DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { type RenderedTemplate, Template } from "../jinja/template.js";
import { markedMessages, markTurns, readTurns, type Spans, type Turns } from "./assistant-turns.js";
import { type ChatMessage, hasParts, joinedParts, templateMessages } from "./chat-messages.js";
import { SCORED_CUES, type TurnStyle, turnStyleOf } from "./turn-styles.js";

export type { Spans } from "./assistant-turns.js";
export type { ChatMessage } from "./chat-messages.js";

export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Descriptions of functions, for templates that show them. */
  readonly tools?: readonly unknown[];
  /** Texts to answer from, for templates that show them. */
  readonly documents?: readonly unknown[];
  /** Other names that the template sees, such as `enable_thinking` (`chat_template_kwargs` of a record). */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
}

export interface RenderedConversation {
  readonly text: string;
  /** Ranges of the assistant's text, including the mark that ends its turn. */
  readonly assistantSpans: Spans;
  /** For each span the index of its message; -1 where the template does not show it. */
  readonly spanMessages: readonly number[];
  /** True if nothing is missing at the end, so that no end of text is added. */
  readonly isClosed: boolean;
}

/**
 * Tokens of the assistant's turns that are scored: all that the template writes for the turn behind its role, as TRL
 * has it, or what follows the generation prompt, up to the special token that ends the turn.
 */
export type ScoredTurns = "whole" | "reply";

/** Longest rendering of a conversation, in UTF-16 units. */
const MAX_RENDERED_LENGTH = 2 ** 24;

/** Begins what the assistant thinks. Some generation prompts open it, but it is the assistant's all the same. */
const THOUGHTS = /<think|<seed:think|\[THINK\]|<\|START_THINKING\|>|<\|channel>/;

/**
 * A chat template ready to render. It may loop forever or fill the memory, so `ChatTemplate.renderAll` renders
 * untrusted templates.
 */
export class ChatRenderer {
  readonly #plain: Template;
  /** With marks for the turns of messages; undefined for a template that cannot have them. */
  readonly #turns: Template | undefined;
  readonly #style: TurnStyle;
  /** Renderings of conversations, without and with a generation prompt. */
  readonly #texts: WeakMap<Conversation, (string | undefined)[]> = new WeakMap();
  readonly #variables: Readonly<Record<string, unknown>>;

  /**
   * @param variables names that the template sees beside the conversation, such as `bos_token`.
   * @param date day that the template is told, as YYYY-MM-DD; null for none.
   * @throws DataError for an invalid template.
   */
  constructor(source: string, variables: Readonly<Record<string, unknown>>, date: string | null = null) {
    this.#style = turnStyleOf(source);
    this.#variables = variables;
    const options = date === null ? {} : { now: new Date(`${date}T00:00:00Z`) };
    try {
      this.#plain = new Template(source, options);
    } catch (cause) {
      throw new DataError(`the chat template is not valid Jinja: ${messageOf(cause)}`, { cause });
    }
    try {
      this.#turns = new Template(markTurns(source), options);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
  }

  /** @throws DataError with the template's own message, or for a failure in it. */
  render(conversation: Conversation, { addGenerationPrompt }: { addGenerationPrompt: boolean }): string {
    return this.#text(this.#prepared(conversation, addGenerationPrompt), addGenerationPrompt);
  }

  /**
   * Renders the whole conversation and finds the assistant's text in it, as the docs of data say.
   * @throws DataError if the template refuses the conversation, or does not show what the assistant wrote.
   */
  renderWithSpans(conversation: Conversation, scored: ScoredTurns = "whole"): RenderedConversation {
    const prepared = this.#prepared(conversation, false);
    const isWhole = scored === "whole";
    if (this.#plain.marksGenerations) {
      const { text, generations } = this.#renderWithGenerations(prepared);
      const spanMessages = this.#messagesOf(prepared, generations);
      return { text, assistantSpans: generations, spanMessages, isClosed: isWhole };
    }
    const text = this.#text(prepared, false);
    if (!isWhole) {
      const found = this.#addedSpans(prepared, text) ?? this.#turnSpans(prepared, text, {});
      return { text, ...(found ?? notShown()), isClosed: false };
    }
    const style = this.#style;
    const last = prepared.messages.at(-1)!;
    const closing = last.role === "assistant" ? style.closing?.(last) : undefined;
    const closed = text + (closing ?? "");
    const found = this.#turnSpans(prepared, closed, style) ?? this.#addedSpans(prepared, closed);
    return { text: closed, ...(found ?? notShown()), isClosed: closing !== undefined };
  }

  /**
   * The conversation as the template is to see it. Parts are handed on as they are, and as one text where the template
   * refuses a list or would write it out as a list.
   */
  #prepared(conversation: Conversation, addGenerationPrompt: boolean): Conversation {
    const prepared = { ...conversation, messages: templateMessages(conversation.messages) };
    if (!hasParts(prepared.messages)) return prepared;
    const probe = prepared.messages.map(({ content, ...rest }) => ({
      ...rest,
      ...(content !== undefined && { content: Array.isArray(content) ? content.map(markedPart) : content }),
    })) as ChatMessage[];
    try {
      const text = this.#render(this.#plain, { ...prepared, messages: probe }, addGenerationPrompt);
      if (!text.includes(PART_MARK)) return prepared;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
    return { ...prepared, messages: joinedParts(prepared.messages) };
  }

  /** The turns that the template's loops write; undefined if these do not write each of the assistant's. */
  #turnSpans(conversation: Conversation, text: string, style: TurnStyle): FoundSpans | undefined {
    const { messages } = conversation;
    const turns = this.#readTurns(conversation, false);
    const isShown = messages.every(({ role }, index) => role !== "assistant" || turns?.spans.get(index)?.length);
    if (turns === undefined || !isShown) return undefined;
    const spans: [number, number][] = [];
    const spanMessages: number[] = [];
    /** By the role of the message before, which is what they follow. */
    const prompts = new Map<string | undefined, Prompts>();
    for (const [index, { role }] of messages.entries()) {
      if (role !== "assistant") continue;
      const own = turns.spans.get(index)!.map(([start, end]): [number, number] => [start, end]);
      const [first, last] = [own[0]!, own.at(-1)!];
      const before = messages[index - 1]?.role;
      if (!prompts.has(before)) prompts.set(before, this.#promptsAt(conversation, index));
      const cue = cueOf(text.slice(...first), prompts.get(before)!, index === 0, turns.tail, style);
      first[0] += cue.end;
      // What stands behind the last turn ends it, unless it is the generation prompt, written always.
      if (index === messages.length - 1 && !cue.isAlways) last[1] = text.length;
      last[1] = style.end?.(text, last[1]) ?? last[1];
      for (const [start, end] of own) {
        if (start >= end) continue;
        spans.push([start, end]);
        spanMessages.push(index);
      }
    }
    return { assistantSpans: spans, spanMessages };
  }

  /** For each span the message in whose turn it lies, or -1. */
  #messagesOf(conversation: Conversation, spans: Spans): number[] {
    const turns = [...(this.#readTurns(conversation, false)?.spans ?? [])];
    return spans.map(([start, end]) => {
      return turns.find(([, own]) => own.some(([from, to]) => from <= start && end <= to))?.[0] ?? -1;
    });
  }

  /** A rendering taken apart; undefined if the template's text depends on the marks. */
  #readTurns(conversation: Conversation, addGenerationPrompt: boolean): Turns | undefined {
    if (this.#turns === undefined) return undefined;
    try {
      const marked = { ...conversation, messages: markedMessages(conversation.messages) };
      const turns = readTurns(this.#render(this.#turns, marked, addGenerationPrompt));
      const isSame = turns.text === this.#text(conversation, addGenerationPrompt);
      return isSame ? turns : undefined;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return undefined;
    }
  }

  /** Generation prompts of the messages before one, and of the whole conversation. */
  #promptsAt(conversation: Conversation, index: number): Prompts {
    const before = { ...conversation, messages: conversation.messages.slice(0, index) };
    return [before, conversation].map((part) => once(() => this.#generationPrompt(part)));
  }

  /** The text that `add_generation_prompt` adds; undefined if the template refuses these messages. */
  #generationPrompt(conversation: Conversation): string | undefined {
    const [without, added] = [false, true].map((add) => this.#renderPart(conversation, add));
    if (without === undefined || added === undefined) return undefined;
    return added.startsWith(without) ? added.slice(without.length) : this.#readTurns(conversation, true)?.tail;
  }

  /**
   * What each turn of the assistant adds to the rendering of the messages before it; undefined if these are not
   * rendered alike without the rest.
   */
  #addedSpans({ messages, ...rest }: Conversation, text: string): FoundSpans | undefined {
    const spans: [number, number][] = [];
    const spanMessages: number[] = [];
    for (const [index, { role }] of messages.entries()) {
      if (role !== "assistant") continue;
      const before = this.#renderPart({ messages: messages.slice(0, index), ...rest }, true);
      const isLast = index === messages.length - 1;
      const upTo = isLast ? text : this.#renderPart({ messages: messages.slice(0, index + 1), ...rest }, false);
      if (before === undefined || upTo === undefined) return undefined;
      if (!upTo.startsWith(before) || !text.startsWith(upTo)) return undefined;
      if (upTo.length <= before.length) continue;
      spans.push([before.length, upTo.length]);
      spanMessages.push(index);
    }
    return { assistantSpans: spans, spanMessages };
  }

  #renderPart(conversation: Conversation, addGenerationPrompt: boolean): string | undefined {
    try {
      return this.#text(conversation, addGenerationPrompt);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return undefined;
    }
  }

  /** The conversation in the plain template. */
  #text(conversation: Conversation, addGenerationPrompt: boolean): string {
    const texts = this.#texts.get(conversation) ?? [];
    this.#texts.set(conversation, texts);
    const index = addGenerationPrompt ? 1 : 0;
    texts[index] ??= this.#render(this.#plain, conversation, addGenerationPrompt);
    return texts[index];
  }

  #render(template: Template, conversation: Conversation, addGenerationPrompt: boolean): string {
    return withinLimit(
      () => template.render(this.#names(conversation, addGenerationPrompt)),
      (text) => text,
    );
  }

  #renderWithGenerations(conversation: Conversation): RenderedTemplate {
    return withinLimit(
      () => this.#plain.renderWithGenerations(this.#names(conversation, false)),
      ({ text }) => text,
    );
  }

  #names(conversation: Conversation, addGenerationPrompt: boolean): Record<string, unknown> {
    const { messages, tools = null, documents = null, templateVariables } = conversation;
    const names = { messages, tools, documents, add_generation_prompt: addGenerationPrompt };
    return Object.assign({}, this.#variables, templateVariables, names);
  }
}

/** @throws DataError with the template's own message, for a failure in it, and for a rendering that is too long. */
function withinLimit<T>(render: () => T, textOf: (rendered: T) => string): T {
  let rendered: T;
  try {
    rendered = render();
  } catch (cause) {
    throw new DataError(`the chat template says: ${messageOf(cause)}`, { cause });
  }
  const { length } = textOf(rendered);
  if (length <= MAX_RENDERED_LENGTH) return rendered;
  throw new DataError(
    `the chat template makes ${length} characters of the conversation, the most is ${MAX_RENDERED_LENGTH}; ` +
      `name another with ${optionName("chatTemplate")}, or leave the record out`,
  );
}

function notShown(): never {
  throw new DataError(
    "the chat template does not show what the assistant wrote: no loop over the messages writes the turns, and the " +
      "first messages are rendered differently when others follow; put {% generation %} and {% endgeneration %} " +
      `around the assistant's part in the template, or train on all turns (${optionName("trainOnInputs", true)})`,
  );
}

/** Finds the end of what a generation prompt writes of a turn, which the assistant need not. */
function cueOf(turn: string, prompts: Prompts, isFirst: boolean, tail: string, { cue }: TurnStyle): Cue {
  const at = (prompt: string): number => {
    // What a template writes before the first message, it may write in the turn of that message.
    const start = isFirst ? turn.indexOf(prompt) : turn.startsWith(prompt) ? 0 : -1;
    return start < 0 ? -1 : start + (SCORED_CUES.includes(prompt) ? 0 : prompt.length);
  };
  if (cue !== undefined) return { end: Math.max(0, at(cue)), isAlways: false };
  for (const promptOf of prompts) {
    const prompt = promptOf();
    if (prompt === undefined) continue;
    if (prompt === "" && tail !== "" && at(tail) >= 0) return { end: at(tail), isAlways: true };
    const lines = prompt.split(THOUGHTS)[0]!.match(/.*\n|.+/g) ?? [];
    while (lines.length > 0 && at(lines.join("")) < 0) lines.pop();
    if (lines.length > 0) return { end: at(lines.join("")), isAlways: false };
  }
  return { end: 0, isAlways: false };
}

/** Generation prompts, made when asked for; undefined for messages that the template refuses. */
type Prompts = readonly (() => string | undefined)[];

function once<T>(compute: () => T): () => T {
  let done: { readonly value: T } | undefined;
  return () => {
    done ??= { value: compute() };
    return done.value;
  };
}

/** The part of a turn before the assistant's words, and true if the template writes it behind the last turn too. */
interface Cue {
  readonly end: number;
  readonly isAlways: boolean;
}

type FoundSpans = Pick<RenderedConversation, "assistantSpans" | "spanMessages">;

/** Shows up in a rendering that writes out a list of parts as a list. */
const PART_MARK = "highrank:part";

function markedPart(part: unknown): unknown {
  return typeof part === "object" && part !== null ? { ...part, [PART_MARK]: PART_MARK } : part;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
