import { ConfigError } from "./errors.js";
import { isObject, shownValue } from "./json.js";
import { suggest } from "./suggest.js";
import { isWellFormed } from "./utf8.js";

// What programs give to the functions and classes of the library, which no compiler may have checked.

/** A kind of argument: what it must be, in words, and the values that are so. */
export interface Kind {
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

export type Kinds = Readonly<Record<string, Kind>>;

export const TEXT: Kind = { words: "a text", holds: (value) => typeof value === "string" && isWellFormed(value) };
export const FLAG: Kind = { words: "true or false", holds: (value) => typeof value === "boolean" };
export const OBJECT: Kind = { words: "an object", holds: isObject };
export const LIST: Kind = { words: "a list", holds: Array.isArray };
export const MAP: Kind = { words: "a Map", holds: (value) => value instanceof Map };
export const FUNCTION: Kind = { words: "a function", holds: (value) => typeof value === "function" };
export const SIGNAL: Kind = {
  words: "an AbortSignal",
  holds: (value) => value instanceof EventTarget && "aborted" in value,
};
export const AMOUNT: Kind = {
  words: "a number of 0 or more",
  holds: (value) => typeof value === "number" && value >= 0,
};

export const FILLED_TEXT: Kind = {
  words: "a text that is not empty",
  holds: (value) => typeof value === "string" && value !== "",
};
export const COUNT: Kind = {
  words: "an integer of at least 1",
  holds: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
};
export const INTEGER: Kind = { words: "an integer", holds: Number.isInteger };
export const FROM_ZERO: Kind = {
  words: "an integer of at least 0",
  holds: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
};
export const FINITE: Kind = { words: "a finite number", holds: Number.isFinite };
export const NOT_NEGATIVE: Kind = {
  words: "a finite number of at least 0",
  holds: (value) => Number.isFinite(value) && Number(value) >= 0,
};
export const BELOW_ONE: Kind = { words: "in [0, 1)", holds: (value) => NOT_NEGATIVE.holds(value) && Number(value) < 1 };

/** @param words for an object of that class, with its article. */
export function instanceOf(words: string, type: abstract new (...given: never[]) => unknown): Kind {
  return { words, holds: (value) => value instanceof type };
}

export function orNull({ words, holds }: Kind): Kind {
  return either({ words, holds }, { words: "null", holds: (value) => value === null });
}

export function either(one: Kind, other: Kind): Kind {
  return { words: `${one.words} or ${other.words}`, holds: (value) => one.holds(value) || other.holds(value) };
}

export function oneOf(choices: readonly string[]): Kind {
  return { words: `one of ${choices.join(", ")}`, holds: (value) => choices.includes(value as string) };
}

export function listOf({ words, holds }: Kind): Kind {
  return { words: `a list of which each is ${words}`, holds: (value) => Array.isArray(value) && value.every(holds) };
}

/** @throws ConfigError with every argument that is not of its kind; undefined is of none. */
export function requireArguments(call: string, kinds: Kinds, given: Readonly<Record<string, unknown>>): void {
  const faults = Object.entries(kinds).flatMap(([name, { words, holds }]) =>
    holds(given[name]) ? [] : [`${call}: ${name} must be ${words}, got ${shownArgument(given[name])}`],
  );
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
}

/** @param given values by name. @throws ConfigError with every one that is not of this kind. */
export function requireEach(call: string, kind: Kind, given: Readonly<Record<string, unknown>>): void {
  requireArguments(call, Object.fromEntries(Object.keys(given).map((name) => [name, kind])), given);
}

/**
 * Checks the options of a call; those that are undefined count as left out.
 * @param more names of others, which are checked elsewhere.
 * @throws ConfigError for what is no object, for options that the call does not have, each with the nearest that it
 * has, and for those that are not of their kind.
 */
export function requireOptions(call: string, given: unknown, kinds: Kinds, more: readonly string[] = []): void {
  requireArguments(call, { options: OBJECT }, { options: given });
  const options = given as Readonly<Record<string, unknown>>;
  const known = [...Object.keys(kinds), ...more];
  const unknown = Object.keys(options).filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    const faults = unknown.map((name) => {
      const nearest = suggest(name, known);
      return `${call}: unknown option ${name}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`;
    });
    throw new ConfigError(faults.join("\n"));
  }
  const present = Object.entries(kinds).filter(([name]) => options[name] !== undefined);
  requireArguments(call, Object.fromEntries(present), options);
}

/** A value for a message, however it hangs together. */
function shownArgument(value: unknown): string {
  if (value === undefined || typeof value === "symbol") return String(value);
  if (typeof value === "function") return "a function";
  if (typeof value === "string" && !isWellFormed(value)) return `${shownValue(value)}, with half of a surrogate pair`;
  if (typeof value !== "object" || value === null) return shownValue(value);
  return Array.isArray(value) ? "a list" : `an object (${value.constructor?.name ?? "of no class"})`;
}
