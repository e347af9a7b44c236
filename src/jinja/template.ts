import { DataError } from "../base/errors.js";
import { PythonError } from "../python/error.js";
import { fromData } from "../python/from-data.js";
import type { Value } from "../python/values.js";
import { compile, type Program } from "./compiler.js";
import { globals } from "./globals.js";
import { descendants } from "./nodes.js";
import { parse } from "./parser.js";
import { Rendering, type Span } from "./rendering.js";

export type { Span };

export interface TemplateOptions {
  /** Moment that `strftime_now` tells, in its UTC fields. Without one the name is undefined. */
  readonly now?: Date | undefined;
}

export interface RenderedTemplate {
  readonly text: string;
  /** The ranges that `{% generation %}` encloses, in the order in which they were written. */
  readonly generations: readonly Span[];
}

/**
 * A chat template as transformers reads it: Jinja2 3.1 with `trim_blocks`, `lstrip_blocks`, `break` and `continue`, and
 * `{% generation %}`, in the sandbox that changes nothing. Texts are printed to the character as Python prints them.
 *
 * Data may hold what JSON holds, and `Map`, `bigint` and `PythonFloat`. An integral number is an int of Python. A key
 * whose value is undefined does not exist.
 *
 * A template may still loop for long or fill the memory: those of others belong into a process with limits.
 */
export class Template {
  /** True if the template has the tag `{% generation %}`. */
  readonly marksGenerations: boolean;
  readonly #program: Program;
  readonly #globals: ReadonlyMap<string, Value>;

  /** @throws DataError for an invalid template, with the line. */
  constructor(source: string, { now }: TemplateOptions = {}) {
    this.#globals = globals(now);
    const nodes = withDataErrors(
      () => 1,
      () => parse(source),
    );
    this.marksGenerations = descendants(nodes).some((node) => node.kind === "generation");
    this.#program = withDataErrors(
      () => 1,
      () => compile(nodes),
    );
  }

  /** @throws DataError with the template's own message, or for a failure in it, with the line. */
  render(variables: Readonly<Record<string, unknown>>): string {
    return this.#run(variables).output.text;
  }

  /**
   * Renders and tells what `{% generation %}` encloses.
   * @throws DataError as `render`, and if the tag stands where transformers would mark other text: in a macro or block
   *   whose text is printed later.
   */
  renderWithGenerations(variables: Readonly<Record<string, unknown>>): RenderedTemplate {
    const { output, generations } = this.#run(variables);
    const spans = generations.map(({ start, text }): Span => {
      if (output.text.startsWith(text, start)) return [start, start + text.length];
      throw new DataError(
        "{% generation %} must stand where its text is printed, not in a macro, a call or a set block that is " +
          "printed later: move the tags",
      );
    });
    return { text: output.text, generations: spans };
  }

  #run(variables: Readonly<Record<string, unknown>>): Rendering {
    let rendering: Rendering | undefined;
    return withDataErrors(
      () => rendering?.line ?? 1,
      () => {
        const known = new Map(this.#globals);
        for (const [name, value] of Object.entries(variables)) {
          if (value !== undefined) known.set(name, fromData(value));
        }
        rendering = new Rendering(known);
        this.#program(rendering);
        return rendering;
      },
    );
  }
}

/** Python's exceptions, and JavaScript's for a text, a list or a recursion that is too big, become errors of ours. */
function withDataErrors<T>(line: () => number, attempt: () => T): T {
  try {
    return attempt();
  } catch (cause) {
    if (cause instanceof PythonError) {
      if (cause.kind === "TemplateError") throw new DataError(cause.message, { cause });
      const kind = cause.kind === "SyntaxError" || cause.kind === "UndefinedError" ? "" : `${cause.kind}: `;
      throw new DataError(`line ${cause.line ?? line()}: ${kind}${cause.message}`, { cause });
    }
    if (!(cause instanceof RangeError)) throw cause;
    const reason = /call stack/.test(cause.message)
      ? "the template goes too deep"
      : "the template makes too big a value";
    throw new DataError(`line ${line()}: ${reason}`, { cause });
  }
}
