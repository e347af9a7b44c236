import { Template } from "@huggingface/jinja";
import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";

/** One turn of a conversation: `role`, `content`, and other keys that its template reads. */
export type ChatMessage = Readonly<Record<string, unknown>> & { readonly role: string };

export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Descriptions of functions, for templates that show them. */
  readonly tools?: readonly unknown[];
  /** Texts to answer from, for templates that show them. */
  readonly documents?: readonly unknown[];
  /** Other names that the template sees, such as `enable_thinking` (`chat_template_kwargs` of a record). */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
}

/** Half-open ranges of UTF-16 units, in order. */
export type Spans = readonly (readonly [start: number, end: number])[];

export interface RenderedConversation {
  readonly text: string;
  /** Ranges of the assistant's text, including the mark that ends its turn. */
  readonly assistantSpans: Spans;
}

/**
 * Marks around the assistant's text. Unicode reserves these characters for use inside programs, so texts contain them
 * only if somebody put them there.
 */
const MARKS = { begin: "\ufdd0begin\ufdd1", end: "\ufdd0end\ufdd1" } as const;

/** A template that writes the date would give other tokens tomorrow. Those that can do without it find none. */
const WITHOUT_DATE = '{% set strftime_now = no_such_name %}{{ "" }}';

/** `{% generation %}` and `{% endgeneration %}`, which enclose the assistant's text in templates of transformers. */
const GENERATION_TAG = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;

/**
 * A chat template ready to render. It may loop forever or fill the memory, so `renderConversations` renders untrusted
 * templates.
 */
export class ChatRenderer {
  readonly #template: Template;
  readonly #marked: Template | undefined;
  readonly #variables: Readonly<Record<string, unknown>>;

  /**
   * @param variables names that the template sees beside the conversation, such as `bos_token`.
   * @throws DataError for an invalid template.
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
      throw new DataError(`the chat template is not valid Jinja: ${messageOf(cause)}`, { cause });
    }
  }

  /** @throws DataError with the template's own message, or for a failure in it. */
  render(conversation: Conversation, options: { addGenerationPrompt: boolean }): string {
    return this.#render(this.#template, conversation, options.addGenerationPrompt);
  }

  /**
   * Renders the whole conversation and finds the assistant's text in it: the text between the template's `generation`
   * tags, or, without tags, the text that each turn of the assistant adds to the rendering of the turns before it.
   * @throws DataError if the template refuses the conversation, or does not show what the assistant wrote.
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
    throw new DataError(
      "the {% generation %} tags of the chat template must come in pairs and leave the text unchanged",
    );
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
          `the chat template does not show what the assistant wrote: it renders the first ${index + 1} messages ` +
            "differently when others follow; put {% generation %} and {% endgeneration %} around the assistant's " +
            "part in the template, split the conversation so that it ends there, or train on all turns " +
            "(--train-on-inputs)",
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
        "put {% generation %} and {% endgeneration %} around the assistant's part in the template, " +
        "or train on all turns (--train-on-inputs)";
      const part = `the first ${index + 1} messages were rendered without the rest`;
      throw new DataError(`to find what the assistant wrote, ${part}: ${cause.message}; ${remedy}`, { cause });
    }
  }

  #render(template: Template, conversation: Conversation, addGenerationPrompt: boolean): string {
    const { messages, tools, documents, templateVariables } = conversation;
    let text: unknown;
    try {
      text = template.render({
        ...this.#variables,
        ...templateVariables,
        messages,
        tools,
        documents,
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
