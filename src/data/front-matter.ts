import { parse } from "yaml";
import { isObject } from "../base/json.js";

/** Longest front matter that is read, in characters. */
const MAX_LENGTH = 2 ** 16;

/** The fields in the front matter of a card (README.md of the hub); none where there is none, or it is no YAML. */
export function frontMatter(text: string): Readonly<Record<string, unknown>> {
  const front = /^---\r?\n(.*?)\r?\n---\s/s.exec(text.slice(0, MAX_LENGTH))?.[1];
  try {
    const fields: unknown = front === undefined ? null : parse(front, { maxAliasCount: 0, logLevel: "silent" });
    return isObject(fields) ? fields : {};
  } catch {
    return {};
  }
}
