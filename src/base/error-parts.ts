import * as errors from "./errors.js";

/** An error without its class, which a copy to another thread or process loses. */
export interface ErrorParts {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

export function takeApart(error: unknown): ErrorParts {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), stack: undefined };
  return {
    name: error.name,
    message: error instanceof errors.HighrankError ? error.text : error.message,
    stack: error.stack,
  };
}

/** The error of the class that `takeApart` was given, where it is one of ours; otherwise an Error. */
export function putTogether({ name, message, stack }: ErrorParts): Error {
  const classes: Readonly<Record<string, new (message: string) => Error>> = errors;
  const error = new (classes[name] ?? Error)(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
