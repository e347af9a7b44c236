const SEPARATOR = "<|endoftext|>";

/**
 * Documents of a `.txt` file: what lies between `<|endoftext|>` marks where it has any, otherwise its paragraphs, which
 * one or more blank lines separate. Single line breaks stay.
 */
export function textDocuments(text: string): string[] {
  const separator = text.includes(SEPARATOR) ? SEPARATOR : /\n[^\S\n]*\n/;
  return withoutBlanks(text.replace(/\r\n?/g, "\n").split(separator));
}

/** Trimmed documents, less those with nothing in them. */
export function withoutBlanks(documents: readonly string[]): string[] {
  return documents.map((document) => document.trim()).filter((document) => document !== "");
}
