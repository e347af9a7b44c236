import { typeError } from "./error.js";
import { PythonFloat } from "./float.js";
import { plainKey } from "./json.js";
import { int } from "./numbers.js";
import { Dict, List, type Value } from "./values.js";

/**
 * A value from JavaScript, copied: only the data itself can be reached from a template. A key without value is left
 * out.
 * @throws TypeError for anything but data.
 */
export function fromData(data: unknown): Value {
  if (data === null || typeof data === "string" || typeof data === "boolean" || typeof data === "number") return data;
  if (data instanceof PythonFloat) return Number.isInteger(data.value) ? data : data.value;
  if (typeof data === "bigint") return int(data);
  if (Array.isArray(data)) return new List(data.map((item) => (item === undefined ? null : fromData(item))));
  if (data instanceof Map) return dictOf(data.entries());
  if (typeof data === "object")
    return dictOf(Object.entries(data).map(([key, value]) => [plainKey(key), value] as const));
  throw typeError(`a template takes data alone, got a ${typeof data}`);
}

function dictOf(entries: Iterable<readonly [unknown, unknown]>): Dict {
  const dict = new Dict();
  for (const [key, value] of entries) if (value !== undefined) dict.set(fromData(key), fromData(value));
  return dict;
}
