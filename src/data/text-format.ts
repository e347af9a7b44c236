const SEPARATOR = "<|endoftext|>";

/**
 * Documents of a `.txt` file: the texts between `<|endoftext|>` marks if it has any, otherwise its paragraphs, which
 * one or more blank lines separate. Single line breaks stay.
 */
export function textDocuments(text: string): string[] {
  const separator = text.includes(SEPARATOR) ? SEPARATOR : /\n[^\S\n]*\n/;
  return withoutBlanks(text.replace(/\r\n?/g, "\n").split(separator));
}

/** Trims documents and drops empty ones. */
export function withoutBlanks(documents: readonly string[]): string[] {
  return documents.map((document) => document.trim()).filter((document) => document !== "");
}
