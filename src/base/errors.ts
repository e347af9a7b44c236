import { forCommandLine, forProgram } from "./naming.js";

/** Messages are for people; one that quotes a file could otherwise grow as long as the file. */
const MAX_MESSAGE_LENGTH = 8000;

/**
 * Base of every error that highrank throws on purpose. A message says where, what must hold, what came, and the way
 * out. It names settings and options by their keys, as `maxSteps`.
 */
export class HighrankError extends Error {
  readonly #text: string;

  /** @param text may name settings with `optionName`. */
  constructor(text: string, options?: ErrorOptions) {
    super(shortened(forProgram(text)), options);
    this.name = new.target.name;
    this.#text = text;
  }

  /** The text that the error was made of, to make that of another of it. */
  get text(): string {
    return this.#text;
  }

  /** The message with flags in place of keys, as `--max-steps`. */
  get commandLineMessage(): string {
    return shortened(forCommandLine(this.#text));
  }
}

function shortened(message: string): string {
  return message.length <= MAX_MESSAGE_LENGTH ? message : `${message.slice(0, MAX_MESSAGE_LENGTH)}…`;
}

/** Shapes that do not fit together. Thrown when the graph is built, not when it runs. */
export class ShapeError extends HighrankError {}

/** An element type that an operation or a file does not take. */
export class DTypeError extends HighrankError {}

/** A setting, flag or configuration key that is unknown, out of range, or at odds with another. */
export class ConfigError extends HighrankError {}

/** Training text or tokens that cannot be read or are too few. */
export class DataError extends HighrankError {}

/** A model, adapter, tokenizer or run file that cannot be read or does not fit. */
export class CheckpointError extends HighrankError {}

/** Work that could not be saved when it was asked to stop. */
export class InterruptedError extends CheckpointError {}

/** A model that highrank does not support: its architecture, or an option that its config asks for. */
export class ModelError extends CheckpointError {}

/** An execution provider that is missing, failed to start, or failed while running. */
export class DeviceError extends HighrankError {}

/** Memory that ran out while something was computed. */
export class MemoryError extends DeviceError {}

/** NaN, Inf or divergence in numbers that must stay finite. */
export class NumericError extends HighrankError {}

/** Bundlers shorten the names of classes, and an error says its own. */
const NAMED = {
  HighrankError,
  ShapeError,
  DTypeError,
  ConfigError,
  DataError,
  CheckpointError,
  InterruptedError,
  ModelError,
  DeviceError,
  MemoryError,
  NumericError,
};
for (const [name, type] of Object.entries(NAMED)) Object.defineProperty(type, "name", { value: name });
