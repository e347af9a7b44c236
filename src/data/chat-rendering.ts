import { DataError } from "../base/errors.js";
import { Template } from "../jinja/template.js";

/** One turn of a conversation: `role`, `content`, and other keys that its template reads. */
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
  /** Ranges of the assistant's text, including the mark that ends its turn. */
  readonly assistantSpans: Spans;
}

/**
 * A chat template ready to render. It may loop forever or fill the memory, so `renderConversations` renders untrusted
 * templates.
 */
export class ChatRenderer {
  readonly #template: Template;
  readonly #variables: Readonly<Record<string, unknown>>;

  /**
   * @param variables names that the template sees beside the conversation, such as `bos_token`.
   * @throws DataError for an invalid template.
   */
  constructor(source: string, variables: Readonly<Record<string, unknown>>) {
    this.#variables = variables;
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new DataError(`the chat template is not valid Jinja: ${messageOf(cause)}`, { cause });
    }
  }

  /** @throws DataError with the template's own message, or for a failure in it. */
  render(conversation: Conversation, options: { addGenerationPrompt: boolean }): string {
    const variables = this.#given(conversation, options.addGenerationPrompt);
    return refusing(() => this.#template.render(variables));
  }

  /**
   * Renders the whole conversation and finds the assistant's text in it: the text between the template's `generation`
   * tags, or, without tags, the text that each turn of the assistant adds to the rendering of the turns before it.
   * @throws DataError if the template refuses the conversation, or does not show what the assistant wrote.
   */
  renderWithSpans(conversation: Conversation): RenderedConversation {
    if (!this.#template.marksGenerations) {
      const text = this.render(conversation, { addGenerationPrompt: false });
      return { text, assistantSpans: this.#addedSpans(conversation, text) };
    }
    const variables = this.#given(conversation, false);
    const { text, generations } = refusing(() => this.#template.renderWithGenerations(variables));
    return { text, assistantSpans: generations.filter(([start, end]) => end > start) };
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
      return this.render(conversation, { addGenerationPrompt });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      const remedy =
        "put {% generation %} and {% endgeneration %} around the assistant's part in the template, " +
        "or train on all turns (--train-on-inputs)";
      const part = `the first ${index + 1} messages were rendered without the rest`;
      throw new DataError(`to find what the assistant wrote, ${part}: ${cause.message}; ${remedy}`, { cause });
    }
  }

  #given({ messages, tools }: Conversation, addGenerationPrompt: boolean): Record<string, unknown> {
    return { ...this.#variables, messages, tools, add_generation_prompt: addGenerationPrompt };
  }
}

function refusing<T>(render: () => T): T {
  try {
    return render();
  } catch (cause) {
    throw new DataError(`the chat template says: ${messageOf(cause)}`, { cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
