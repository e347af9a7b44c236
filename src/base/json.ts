import { CheckpointError } from "./errors.js";

/** Deepest nesting of arrays and objects: several times what any file needs. */
const MAX_DEPTH = 64;

/**
 * Size of the longest JSON file that is read, as for a safetensors header. Parsed, it takes many times as much memory.
 */
export const MAX_JSON_BYTES = 100_000_000;

/**
 * `JSON.parse`, but at most 64 levels deep: recursion over a deeper value would run out of stack.
 * @throws SyntaxError, before memory is taken for a value that is too deep.
 */
export function parseJson(text: string): unknown {
  requireDepth(text);
  return JSON.parse(text);
}

/**
 * Parses a file that holds one JSON object.
 * @param path of the file, for messages.
 * @throws CheckpointError for anything else.
 */
export function parseJsonObject(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`${path} is not JSON (${reason}); write it again or copy it from its source`, {
      cause: error,
    });
  }
  if (!isObject(value)) throw new CheckpointError(`${path} must hold a JSON object, not ${kindOf(value)}`);
  return value;
}

/** True if the JSON value is an object, so neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Kind of a JSON value, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

function requireDepth(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
    } else if (char === "[" || char === "{") {
      if (++depth > MAX_DEPTH) throw new SyntaxError(`it is nested deeper than ${MAX_DEPTH} levels`);
    } else if (char === "]" || char === "}") depth--;
  }
}

/** A value from a file, for a message: JSON with numbers that are not finite by their names, cut off if it is long. */
export function shownValue(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  const named = (key: string, each: unknown): unknown =>
    typeof each === "number" && !Number.isFinite(each) ? String(each) : withBigInts(key, each);
  try {
    return shortened(JSON.stringify(value, named) ?? "missing");
  } catch {
    // Of a program, that is in itself.
    return "an object";
  }
}

/** For `JSON.stringify`, which knows no bigint: its digits, as a text. */
export function withBigInts(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}

/** The beginning of a text from a file, for a message. */
export function shortened(text: string, length = 100): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`;
}
