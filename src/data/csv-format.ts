import { DataError } from "../base/errors.js";
import { requireNoFaults } from "./jsonl-format.js";

/** Separators by the extension of a file, and how people call them. */
export const SEPARATORS = { ".csv": ",", ".tsv": "\t" } as const;

const SEPARATOR_NAMES: Readonly<Record<string, string>> = {
  ",": "commas",
  "\t": "tabs",
  ";": "semicolons",
  "|": "bars",
};

/** One row of a table, and the line on which it begins. */
interface TableRow {
  readonly line: number;
  readonly values: readonly string[];
}

/**
 * Reads a `.csv` or `.tsv` text (RFC 4180) whose first row names the columns. Values are texts, as they stand there. A
 * quoted value may hold separators, line breaks and doubled quotes; lines without a character are skipped.
 * @param readRecord makes a value from a row and the number of its first line, or throws a DataError with its fault.
 * @param goesOn asked after a faulty row; false ends the reading, since the others have the same fault.
 * @throws DataError naming the file and the line of each faulty row.
 */
export function readTable<T>(
  text: string,
  path: string,
  separator: string,
  readRecord: (record: Readonly<Record<string, string>>, line: number) => T,
  goesOn: () => boolean = () => true,
): T[] {
  const values: T[] = [];
  const faults: string[] = [];
  let columns: readonly string[] | undefined;
  try {
    for (const row of tableRows(text, separator)) {
      try {
        if (columns === undefined) columns = columnNames(row.values, separator);
        else values.push(readRecord(recordOf(row.values, columns), row.line));
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        faults.push(`${path}, line ${row.line}: ${error.text}`);
        if (columns === undefined || !goesOn()) break;
      }
    }
  } catch (error) {
    if (!(error instanceof QuoteFault)) throw error;
    faults.push(`${path}, line ${error.line}: ${error.message}`);
  }
  requireNoFaults(faults, "lines");
  return values;
}

/** A quoted value that is not closed as it must be, after which no row can be told from another. */
class QuoteFault extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

function* tableRows(text: string, separator: string): Generator<TableRow> {
  const bareEnd = new RegExp(`[${separator}\r\n]`, "g");
  let [at, line] = [0, 1];
  while (at < text.length) {
    const first = line;
    const values: string[] = [];
    for (;;) {
      let end: number;
      if (text[at] === '"') {
        const quoted = quotedValue(text, at, line);
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
      at = end + 1;
      if (text[end] === separator) continue;
      if (text[end] === "\r" && text[at] === "\n") at++;
      line++;
      break;
    }
    if (values.length > 1 || values[0] !== "") yield { line: first, values };
  }
}

function quotedValue(text: string, start: number, line: number): { value: string; end: number; breaks: number } {
  let value = "";
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) throw new QuoteFault(line, "a quoted value begins here and never ends; close it with a quote");
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
