const SEPARATOR = "<|endoftext|>";

/** The part of a text file that is one document. */
export const DOCUMENT_UNITS = ["file", "paragraph", "line"] as const;
export type DocumentUnit = (typeof DOCUMENT_UNITS)[number];

/**
 * Documents of a `.txt` file: the texts between `<|endoftext|>` marks if it has any, otherwise its paragraphs, which
 * one or more blank lines separate; single line breaks stay. As lines, marks end documents too.
 */
export function textDocuments(text: string, unit: DocumentUnit = "paragraph"): string[] {
  const plain = text.replace(/\r\n?/g, "\n");
  const marked = text.includes(SEPARATOR) ? plain.split(SEPARATOR) : undefined;
  if (unit === "line") return withoutBlanks((marked ?? [plain]).flatMap((part) => part.split("\n")));
  return withoutBlanks(marked ?? (unit === "file" ? [plain] : plain.split(/\n[^\S\n]*\n/)));
}

/** Trims documents and drops empty ones. */
export function withoutBlanks(documents: readonly string[]): string[] {
  return documents.map((document) => document.trim()).filter((document) => document !== "");
}
