import { ConfigError } from "./errors.js";
import { shownValue } from "./json.js";

// What a program gives to a class. Numbers that are none would make NaN of all that is computed with them.

type Given = Readonly<Record<string, unknown>>;

/** The numbers that an argument may be. Default: all that are finite. */
export type NumberRange =
  | { readonly least?: undefined; readonly below?: undefined }
  | { readonly least: number; readonly below?: number };

/** @param given values by the names of the arguments. @throws ConfigError unless all are integers of at least 1. */
export function requireCounts(where: string, given: Given): void {
  requireEach(
    where,
    given,
    "an integer of at least 1",
    (value) => isNumber(value) && Number.isSafeInteger(value) && value >= 1,
  );
}

/** @param given values by the names of the arguments. @throws ConfigError unless all are finite numbers of the range. */
export function requireNumbers(where: string, given: Given, { least, below }: NumberRange = {}): void {
  const must = least === undefined ? "a finite number" : `a finite number of at least ${least}`;
  requireEach(
    where,
    given,
    below === undefined ? must : `in [${least}, ${below})`,
    (value) =>
      isNumber(value) &&
      Number.isFinite(value) &&
      value >= (least ?? value) &&
      value < (below ?? Number.POSITIVE_INFINITY),
  );
}

/** @param given values by the names of the arguments. @throws ConfigError unless all are texts that are not empty. */
export function requireTexts(where: string, given: Given): void {
  requireEach(where, given, "a text that is not empty", (value) => typeof value === "string" && value !== "");
}

function requireEach(where: string, given: Given, must: string, holds: (value: unknown) => boolean): void {
  for (const [name, value] of Object.entries(given)) {
    if (holds(value)) continue;
    const got = value === undefined ? "undefined" : shownValue(value);
    throw new ConfigError(`${where}: ${name} must be ${must}, got ${got}`);
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}
