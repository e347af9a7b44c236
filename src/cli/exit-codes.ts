import {
  CheckpointError,
  ConfigError,
  DataError,
  DeviceError,
  HighrankError,
  InterruptedError,
  NumericError,
  ShapeError,
} from "../base/errors.js";

/** Exit codes of the command. */
export const EXIT = {
  done: 0,
  internal: 1,
  usage: 2,
  data: 3,
  numbers: 4,
  device: 5,
  hungUp: 129,
  interrupted: 130,
  quit: 131,
  user: 138,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit code that an error ends the command with. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof ConfigError || error instanceof ShapeError) return EXIT.usage;
  if (error instanceof InterruptedError) return EXIT.interrupted;
  if (error instanceof DataError || error instanceof CheckpointError) return EXIT.data;
  if (error instanceof NumericError) return EXIT.numbers;
  if (error instanceof DeviceError) return EXIT.device;
  return EXIT.internal;
}

/** True for the code of an error: not that of a success, nor of a command that was asked to stop. */
export function isFailure(code: ExitCode): boolean {
  return code !== EXIT.done && code < EXIT.hungUp;
}

/**
 * The text to print for an error: its message, or with `debug` its stack; an error of any other class is
 * reported as a defect.
 */
export function describeError(error: unknown, { debug }: { debug: boolean }): string {
  if (debug && error instanceof Error) return `error: ${error.stack}`;
  const message = messageOf(error);
  const shown = message.replaceAll("\n", "\n  ");
  if (error instanceof HighrankError) return `error: ${shown}`;
  return `internal error: ${shown}\n  This is a defect of highrank; HIGHRANK_DEBUG=1 shows where it happened.`;
}

/** The message of an error, which names settings by their flags. */
export function messageOf(error: unknown): string {
  if (error instanceof HighrankError) return error.commandLineMessage;
  return error instanceof Error ? error.message : String(error);
}
