import { PythonFloat } from "../python/float.js";
import { parsePythonJson } from "../python/json.js";

/** A column of a Parquet file, or a part of one. */
export interface ParquetColumn {
  readonly element: {
    readonly name: string;
    readonly type?: string;
    readonly repetition_type?: string;
    readonly converted_type?: string;
    readonly logical_type?: { readonly type: string };
  };
  readonly children: readonly ParquetColumn[];
}

/**
 * The fields of a row with values as of JSON (`parsePythonJson`). A null is left out of its row and of the objects in
 * it, since Arrow gives each object the keys of all others; JSON in a column of that type keeps its nulls.
 */
export function parquetFields(
  row: Readonly<Record<string, unknown>>,
  columns: readonly ParquetColumn[],
): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const column of columns) {
    const value = plainValue(row[column.element.name], column);
    if (value !== null) fields[column.element.name] = value;
  }
  return fields;
}

function plainValue(value: unknown, column: ParquetColumn): unknown {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.map((item) => plainValue(item, itemOf(column)));
  if (ArrayBuffer.isView(value)) return Array.from(value as Int32Array, (item) => plainValue(item, itemOf(column)));
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value === "number") return isFloat(column) && Number.isInteger(value) ? new PythonFloat(value) : value;
  if (typeof value === "string") return isOf(column, "JSON") ? jsonValue(value) : value;
  if (typeof value !== "object" || value instanceof Date) return value;
  if (isOf(column, "MAP")) return mapValue(value as Record<string, unknown>, column);
  return parquetFields(value as Record<string, unknown>, column.children);
}

/** Text that is not JSON stays text, as in `datasets`. */
function jsonValue(text: string): unknown {
  try {
    return parsePythonJson(text);
  } catch {
    return text;
  }
}

function mapValue(value: Readonly<Record<string, unknown>>, column: ParquetColumn): unknown {
  const item = column.children[0]?.children[1] ?? column;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainValue(each, item)]));
}

/** The part of a list that describes its items: usually that in a repeated group of its own. */
function itemOf(column: ParquetColumn): ParquetColumn {
  const [repeated] = column.children;
  if (!isOf(column, "LIST") || repeated === undefined) return column;
  return repeated.children.length === 1 ? repeated.children[0]! : repeated;
}

function isOf({ element: { converted_type, logical_type } }: ParquetColumn, type: string): boolean {
  return converted_type === type || logical_type?.type === type;
}

function isFloat({ element: { type, logical_type } }: ParquetColumn): boolean {
  return type === "FLOAT" || type === "DOUBLE" || logical_type?.type === "FLOAT16";
}
