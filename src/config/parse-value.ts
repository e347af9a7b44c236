import { shownValue } from "../base/json.js";
import { describeRange, valueSchema } from "./schema.js";
import type { Setting } from "./settings.js";

/** A checked value, or the fault as "must be ..., got ...". */
export type Parsed = { readonly value: unknown } | { readonly fault: string };

/**
 * Checks a value from a flag (text) or a config file (text or typed) against a setting's declaration.
 * Numbers take `_` between digits and the suffixes k, M and B; lists are separated by commas; `none` is null
 * where the setting has it, and the empty list. Numbers in a list, or alone in its place, are names like others. A
 * mapping in the place of a list of pairs is that list.
 */
export function parseValue(setting: Setting, raw: unknown): Parsed {
  const value = typeof raw === "string" ? fromText(setting, raw.trim(), raw) : fromTyped(setting, raw);
  const result = valueSchema(setting).safeParse(value);
  if (result.success) return { value: result.data };
  const advice = setting.advice === undefined ? "" : `; ${setting.advice}`;
  return { fault: `must be ${describeRange(setting)}, got ${shownValue(raw)}${advice}` };
}

function fromTyped({ type, pairs }: Setting, raw: unknown): unknown {
  if (type !== "list") return raw;
  if (pairs !== undefined && isMapping(raw)) return Object.entries(raw).map(([left, right]) => `${left}=${right}`);
  const named = (item: unknown): unknown => (typeof item === "number" ? String(item) : item);
  return typeof raw === "number" ? [named(raw)] : Array.isArray(raw) ? raw.map(named) : raw;
}

/** An object of names and numbers, such as PEFT's `rank_pattern`. */
function isMapping(raw: unknown): raw is Readonly<Record<string, string | number>> {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return false;
  return Object.values(raw).every((value) => typeof value === "string" || typeof value === "number");
}

function fromText(setting: Setting, text: string, raw: string): unknown {
  if (text === "none" && setting.none !== undefined) return null;
  switch (setting.type) {
    case "integer":
    case "number":
      return numberFromText(text) ?? text;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    case "list":
      return text === "" || text === "none" ? [] : text.split(",").map((item) => item.trim());
    case "choice":
      return text;
    case "string":
      return raw;
  }
}

const SUFFIXES: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, b: 1e9 };

/** "1e-3", "10M", "1_000" -> number; undefined for any other text. */
function numberFromText(text: string): number | undefined {
  const match = /^([-+.\d_e]*\d\.?)([kmb]?)$/i.exec(text);
  if (match === null || /_(?!\d)|(?<!\d)_/.test(text)) return undefined;
  const value = Number(match[1]!.replaceAll("_", ""));
  return Number.isNaN(value) ? undefined : value * (SUFFIXES[match[2]!.toLowerCase()] ?? 1);
}
