import { requireShort, withoutCompression } from "./text-parts.js";

/** Ends a document, in a text that has it anywhere. */
export const DOCUMENT_MARK = "<|endoftext|>";

/** The part of a text file that is one document. */
export const DOCUMENT_UNITS = ["file", "paragraph", "line"] as const;
export type DocumentUnit = (typeof DOCUMENT_UNITS)[number];

/** True if a source holds text alone, as its name says. */
export function isTextName(source: string): boolean {
  return source.startsWith("builtin:") || /\.(txt|md)$/.test(withoutCompression(source));
}

/** Borders of documents, by unit, in texts without marks and with them. */
const BORDERS: Readonly<Record<DocumentUnit, readonly [unmarked: RegExp | null, marked: RegExp]>> = {
  file: [null, /<\|endoftext\|>/g],
  paragraph: [/\n[^\S\n]*\n/g, /<\|endoftext\|>/g],
  line: [/\n/g, /<\|endoftext\|>|\n/g],
};

/**
 * Takes a `.txt` file apart, which comes in parts: the texts between `<|endoftext|>` marks if it has any, otherwise its
 * paragraphs, which one or more blank lines separate; single line breaks stay. As lines, marks end documents too.
 */
export class DocumentSplitter {
  readonly #path: string;
  readonly #border: RegExp | null;
  /** The end of what came, in which no border is found yet. */
  #rest = "";
  /** A carriage return at the end of a part, of which it is not known whether a line feed follows. */
  #return = "";

  /** @param isMarked true if the whole text has a mark. */
  constructor(path: string, unit: DocumentUnit, isMarked: boolean) {
    this.#path = path;
    this.#border = BORDERS[unit][isMarked ? 1 : 0];
  }

  /** The documents that end in the next part of the text. @throws DataError for one that is too long. */
  take(part: string): string[] {
    const given = this.#return + part;
    this.#return = given.endsWith("\r") ? "\r" : "";
    return this.#split(given.slice(0, given.length - this.#return.length));
  }

  /** The last documents. */
  end(): string[] {
    const documents = this.#split(this.#return);
    const last = withoutBlanks([this.#rest]);
    [this.#rest, this.#return] = ["", ""];
    return [...documents, ...last];
  }

  #split(given: string): string[] {
    const before = this.#rest;
    const text = before + given.replace(/\r\n?/g, "\n");
    requireShort(this.#path, text.length);
    const documents: string[] = [];
    let start = 0;
    if (this.#border !== null) {
      // A border that began in what came before may end in this part.
      this.#border.lastIndex = Math.min(before.trimEnd().length, Math.max(0, before.length - DOCUMENT_MARK.length));
      for (const { index, 0: border } of text.matchAll(this.#border)) {
        documents.push(text.slice(start, index));
        start = index + border.length;
      }
    }
    this.#rest = text.slice(start);
    return withoutBlanks(documents);
  }
}

/** Documents of a `.txt` file that is in memory, as `DocumentSplitter`. */
export function textDocuments(text: string, unit: DocumentUnit = "paragraph"): string[] {
  const splitter = new DocumentSplitter("the text", unit, text.includes(DOCUMENT_MARK));
  return [...splitter.take(text), ...splitter.end()];
}

/** Trims documents and drops empty ones. */
export function withoutBlanks(documents: readonly string[]): string[] {
  return documents.map((document) => document.trim()).filter((document) => document !== "");
}
