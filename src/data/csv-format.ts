import { DataError } from "../base/errors.js";
import { Faults } from "./jsonl-format.js";
import { requireShort } from "./text-parts.js";

/** Separators by the extension of a file, and how people call them. */
export const SEPARATORS = { ".csv": ",", ".tsv": "\t" } as const;

const SEPARATOR_NAMES: Readonly<Record<string, string>> = {
  ",": "commas",
  "\t": "tabs",
  ";": "semicolons",
  "|": "bars",
};

/** One row of a table. */
interface TableRow {
  /** The line on which it begins. */
  readonly line: number;
  /** Null for a line without a character. */
  readonly values: readonly string[] | null;
  /** Where the next one begins, and its line. */
  readonly end: number;
  readonly nextLine: number;
}

type ReadRow<T> = (record: Readonly<Record<string, string>>, line: number) => T;

/**
 * Reads a `.csv` or `.tsv` text (RFC 4180), which comes in parts, and whose first row names the columns. Values are
 * texts, as they stand there. A quoted value may hold separators, line breaks and doubled quotes; lines without a
 * character are skipped.
 */
export class Table<T> {
  readonly #path: string;
  readonly #separator: string;
  readonly #readRecord: ReadRow<T>;
  readonly #goesOn: () => boolean;
  readonly #faults = new Faults();
  #columns: readonly string[] | undefined;
  #rest = "";
  /** Length of the rest from which on it is looked through again. */
  #enough = 0;
  #line = 1;
  #isOver = false;

  /**
   * @param readRecord makes a value from a row and the number of its first line, or throws a DataError with its fault.
   * @param goesOn asked after a faulty row; false ends the reading, since the others have the same fault.
   */
  constructor(path: string, separator: string, readRecord: ReadRow<T>, goesOn: () => boolean = () => true) {
    this.#path = path;
    this.#separator = separator;
    this.#readRecord = readRecord;
    this.#goesOn = goesOn;
  }

  /** The values of the rows that end in the next part of the text. @throws DataError for a row that is too long. */
  take(part: string): T[] {
    if (this.#isOver) return [];
    this.#rest += part;
    // A row that goes on and on is not looked through with each part.
    if (this.#rest.length < this.#enough) return [];
    const values = this.#read(false);
    requireShort(`${this.#path}, line ${this.#line}`, this.#rest.length);
    this.#enough = 2 * this.#rest.length;
    return values;
  }

  /** The values of the last rows. @throws DataError naming the file and the line of each faulty row. */
  end(): T[] {
    const values = this.#read(true);
    this.#faults.requireNone("lines");
    return values;
  }

  #read(isEnd: boolean): T[] {
    const values: T[] = [];
    const rows = tableRows(this.#rest, { separator: this.#separator, line: this.#line, isEnd });
    let done = 0;
    try {
      for (const { line, values: fields, end, nextLine } of rows) {
        [done, this.#line] = [end, nextLine];
        if (fields === null) continue;
        try {
          if (this.#columns === undefined) this.#columns = columnNames(fields, this.#separator);
          else values.push(this.#readRecord(recordOf(fields, this.#columns), line));
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          this.#faults.add(`${this.#path}, line ${line}: ${error.text}`);
          this.#isOver = this.#columns === undefined || !this.#goesOn();
          if (this.#isOver) break;
        }
      }
    } catch (error) {
      if (!(error instanceof QuoteFault)) throw error;
      this.#faults.add(`${this.#path}, line ${error.line}: ${error.message}`);
      this.#isOver = true;
    }
    this.#rest = this.#isOver ? "" : this.#rest.slice(done);
    return values;
  }
}

/** Reads a table that is in memory. @throws DataError as `Table`. */
export function readTable<T>(
  text: string,
  path: string,
  separator: string,
  readRecord: ReadRow<T>,
  goesOn?: () => boolean,
): T[] {
  const table = new Table(path, separator, readRecord, goesOn);
  return [...table.take(text), ...table.end()];
}

/** A quoted value that is not closed as it must be, after which no row can be told from another. */
class QuoteFault extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/** Rows of a text whose end is perhaps not here yet: then a row that reaches it is not given. */
function* tableRows(
  text: string,
  { separator, line: firstLine, isEnd }: { readonly separator: string; readonly line: number; readonly isEnd: boolean },
): Generator<TableRow> {
  const bareEnd = new RegExp(`[${separator}\r\n]`, "g");
  let [at, line] = [0, firstLine];
  while (at < text.length) {
    const first = line;
    const values: string[] = [];
    for (;;) {
      let end: number;
      if (text[at] === '"') {
        const quoted = quotedValue(text, at);
        if (quoted === undefined && !isEnd) return;
        if (quoted === undefined) {
          throw new QuoteFault(line, "a quoted value begins here and never ends; close it with a quote");
        }
        values.push(quoted.value);
        line += quoted.breaks;
        end = quoted.end;
        if (end < text.length && text[end] !== separator && text[end] !== "\n" && text[end] !== "\r") {
          const remedy = "double the quotes inside a value that stands in quotes";
          throw new QuoteFault(line, `has ${JSON.stringify(text[end])} after the quote that ends a value; ${remedy}`);
        }
      } else {
        bareEnd.lastIndex = at;
        end = bareEnd.exec(text)?.index ?? text.length;
        values.push(text.slice(at, end));
      }
      // A quote here may be the first of two, and a line feed may follow a carriage return.
      if (!isEnd && (end === text.length || (text[end] === "\r" && end + 1 === text.length))) return;
      at = end + 1;
      if (text[end] === separator) continue;
      if (text[end] === "\r" && text[at] === "\n") at++;
      line++;
      break;
    }
    const isBlank = values.length === 1 && values[0] === "";
    yield { line: first, values: isBlank ? null : values, end: Math.min(at, text.length), nextLine: line };
  }
}

/** The value that a quote begins, and where it ends; undefined if it does not end. */
function quotedValue(text: string, start: number): { value: string; end: number; breaks: number } | undefined {
  let value = "";
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) return undefined;
    value += text.slice(from, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1, breaks: value.match(/\r\n?|\n/g)?.length ?? 0 };
    value += '"';
    from = quote + 2;
  }
}

/** The names of the columns; those without one get pandas' names, whose `to_csv` writes an index without. */
function columnNames(values: readonly string[], separator: string): readonly string[] {
  const names = values.map((name, index) => (name.trim() === "" ? `Unnamed: ${index}` : name.trim()));
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw new DataError(`two columns have the name "${twice}"; rename one`);
  const other = names.length === 1 ? [...",\t;|"].find((mark) => names[0]!.includes(mark)) : undefined;
  if (other === undefined) return names;
  throw new DataError(
    `the first line must name the columns, with ${SEPARATOR_NAMES[separator]} between them, but has ` +
      `${SEPARATOR_NAMES[other]}; write the file with ${SEPARATOR_NAMES[separator]}` +
      (other === "," || other === "\t" ? `, or name it ${other === "," ? ".csv" : ".tsv"}` : ""),
  );
}

function recordOf(values: readonly string[], columns: readonly string[]): Readonly<Record<string, string>> {
  if (values.length !== columns.length) {
    const more = values.length > columns.length ? "; put values that hold the separator in quotes" : "";
    throw new DataError(`must have ${columns.length} values, as the first line, got ${values.length}${more}`);
  }
  return Object.fromEntries(columns.map((name, index) => [name, values[index]!]));
}
