/** Names of Python's and Jinja2's exceptions that a template may meet. Filters such as `int` catch some of them. */
export type PythonErrorName =
  | "AssertionError"
  | "AttributeError"
  | "IndexError"
  | "KeyError"
  | "MemoryError"
  | "NotImplementedError"
  | "OverflowError"
  | "RuntimeError"
  | "SecurityError"
  | "SyntaxError"
  | "TemplateError"
  | "TypeError"
  | "UndefinedError"
  | "ValueError"
  | "ZeroDivisionError";

/** An exception of Python inside the engine. `Template` turns it into a DataError with the template's line. */
export class PythonError extends Error {
  readonly kind: PythonErrorName;
  /** Line of the template, if the error knows it better than the renderer. */
  readonly line: number | undefined;

  constructor(kind: PythonErrorName, message: string, line?: number) {
    super(message);
    this.kind = kind;
    this.line = line;
  }
}

/** `attempt()`, or `fallback` if it raises one of the exceptions. */
export function except<T, F>(kinds: readonly PythonErrorName[], attempt: () => T, fallback: () => F): T | F {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof PythonError && kinds.includes(error.kind)) return fallback();
    throw error;
  }
}

export function typeError(message: string): PythonError {
  return new PythonError("TypeError", message);
}

export function valueError(message: string): PythonError {
  return new PythonError("ValueError", message);
}
