/** Levels of arrays and objects inside one another: several times as many as any file needs. */
const MAX_DEPTH = 64;

/** Longest JSON file that is read, as for the header of a safetensors file. Parsed, it takes many times as much memory. */
export const MAX_JSON_BYTES = 100_000_000;

/**
 * `JSON.parse`, but no deeper than 64 levels: whatever goes through the value by recursion would run out of stack.
 * @throws SyntaxError, before memory is taken for what is too deep.
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

/** A value of a file for a message: as JSON, the beginning of it where it is long. */
export function shownValue(value: unknown): string {
  return shortened(JSON.stringify(value) ?? "missing");
}

/** The beginning of a text of a file, for a message. */
export function shortened(text: string, length = 100): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`;
}
