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

/** A value from a file, for a message: JSON, cut off if it is long. */
export function shownValue(value: unknown): string {
  return shortened(JSON.stringify(value) ?? "missing");
}

/** The beginning of a text from a file, for a message. */
export function shortened(text: string, length = 100): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`;
}
