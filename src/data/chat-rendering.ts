import { Template } from "@huggingface/jinja";
import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";

/** One turn of a conversation: `role`, `content`, and what else its template reads. */
export type ChatMessage = Readonly<Record<string, unknown>> & { readonly role: string };

export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Descriptions of functions, for templates that show them. */
  readonly tools?: readonly unknown[];
}

/** Half-open ranges of UTF-16 units, in order. */
export type Spans = readonly (readonly [start: number, end: number])[];

export interface RenderedConversation {
  readonly text: string;
  /** What the assistant wrote, the mark that ends its turn included. */
  readonly assistantSpans: Spans;
}

/** What texts around a mark can only be if somebody put it there: Unicode reserves these for use inside of programs. */
const MARKS = { begin: "\ufdd0begin\ufdd1", end: "\ufdd0end\ufdd1" } as const;

/** A template that writes the date would give other tokens tomorrow: those that can do without it find none. */
const WITHOUT_DATE = '{% set strftime_now = no_such_name %}{{ "" }}';

/** `{% generation %}` and `{% endgeneration %}`, by which templates of transformers say what the assistant writes. */
const GENERATION_TAG = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;

/**
 * A chat template at work. It may loop without end and fill the memory, so templates of strangers are rendered by
 * `renderConversations`.
 */
export class ChatRenderer {
  readonly #template: Template;
  readonly #marked: Template | undefined;
  readonly #variables: Readonly<Record<string, unknown>>;

  /**
   * @param variables names that the template knows beside the conversation, such as `bos_token`.
   * @throws DataError for what is no template.
   */
  constructor(source: string, variables: Readonly<Record<string, unknown>>) {
    this.#variables = variables;
    try {
      this.#template = new Template(WITHOUT_DATE + source);
      const marked = source.replace(GENERATION_TAG, (_, left: string, end: string | undefined, right: string) => {
        return `{%${left} if true %}{{ "${end === undefined ? MARKS.begin : MARKS.end}" }}{% endif ${right}%}`;
      });
      this.#marked = marked === source ? undefined : new Template(WITHOUT_DATE + marked);
    } catch (cause) {
      throw new DataError(`it is no Jinja template: ${messageOf(cause)}`, { cause });
    }
  }

  /** @throws DataError with what the template says, or what went wrong in it. */
  render(conversation: Conversation, options: { addGenerationPrompt: boolean }): string {
    return this.#render(this.#template, conversation, options.addGenerationPrompt);
  }

  /**
   * The whole conversation, and what of it the assistant wrote: what stands between the template's `generation` tags, or where it
   * has none, what each turn of the assistant adds to the rendering of the turns before it.
   * @throws DataError where the template refuses the conversation, or does not tell what the assistant wrote.
   */
  renderWithSpans(conversation: Conversation): RenderedConversation {
    const text = this.render(conversation, { addGenerationPrompt: false });
    const spans =
      this.#marked === undefined ? this.#addedSpans(conversation, text) : this.#markedSpans(conversation, text);
    return { text, assistantSpans: spans };
  }

  #markedSpans(conversation: Conversation, text: string): Spans {
    const marked = this.#render(this.#marked!, conversation, false);
    const spans: [number, number][] = [];
    const pieces = marked.split(/(\ufdd0(?:begin|end)\ufdd1)/);
    let position = 0;
    let begun: number | undefined;
    for (const piece of pieces) {
      if (piece === MARKS.begin) begun = position;
      else if (piece !== MARKS.end) position += piece.length;
      else if (begun !== undefined) {
        if (position > begun) spans.push([begun, position]);
        begun = undefined;
      }
    }
    const plain = pieces.filter((piece) => piece !== MARKS.begin && piece !== MARKS.end).join("");
    if (plain === text && begun === undefined) return spans;
    throw new DataError("its {% generation %} tags do not come out in pairs around a text that stays the same");
  }

  #addedSpans({ messages, ...rest }: Conversation, text: string): Spans {
    const spans: [number, number][] = [];
    for (const [index, { role }] of messages.entries()) {
      if (role !== "assistant") continue;
      const before = this.#renderPart({ messages: messages.slice(0, index), ...rest }, true, index);
      const upTo =
        index === messages.length - 1
          ? text
          : this.#renderPart({ messages: messages.slice(0, index + 1), ...rest }, false, index);
      if (!upTo.startsWith(before) || !text.startsWith(upTo)) {
        throw new DataError(
          `it does not tell what the assistant wrote: it renders the messages up to number ${index + 1} in another way where ` +
            "they are all; put {% generation %} and {% endgeneration %} around the assistant's part in the template, " +
            "split the conversation so that it ends there, or train on all turns (--train-on-inputs)",
        );
      }
      if (upTo.length > before.length) spans.push([before.length, upTo.length]);
    }
    return spans;
  }

  #renderPart(conversation: Conversation, addGenerationPrompt: boolean, index: number): string {
    try {
      return this.#render(this.#template, conversation, addGenerationPrompt);
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      const remedy =
        "put {% generation %} and {% endgeneration %} around the assistant's part in the template, or train on all turns (--train-on-inputs)";
      throw new DataError(
        `to find what the assistant wrote, the messages up to number ${index + 1} were rendered without the rest: ${cause.message}; ${remedy}`,
        { cause },
      );
    }
  }

  #render(template: Template, { messages, tools }: Conversation, addGenerationPrompt: boolean): string {
    let text: unknown;
    try {
      text = template.render({
        ...this.#variables,
        messages,
        tools,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (cause) {
      throw new DataError(`the chat template says: ${messageOf(cause)}`, { cause });
    }
    if (typeof text === "string") return text;
    throw new DataError(`the chat template must give a text, got ${shownValue(text)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
