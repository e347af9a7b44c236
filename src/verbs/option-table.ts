import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { parseValue } from "../config/parse-value.js";
import type { Setting, ValueOf } from "../config/settings.js";

/** The options of a verb by camelCase name, declared as settings are; `group` does not matter. */
export type OptionTable = Readonly<
  Record<
    string,
    Omit<Setting, "group" | "derived"> & {
      readonly derived?: never;
      /** True if only `--help --all` shows it. */
      readonly isRare?: true;
    }
  >
>;

/** The checked values of an option table. */
export type OptionValues<T extends OptionTable> = { readonly [K in keyof T]: ValueOf<T[K]> };

/** Values as they are given, by camelCase name; undefined counts as absent. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/**
 * The values of the options in a table, defaults filled in.
 * @throws ConfigError with every value that is missing or out of range.
 */
export function completeOptions<const T extends OptionTable>(table: T, given: GivenOptions): OptionValues<T> {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, option] of Object.entries(table)) {
    if (given[name] === undefined) {
      if (option.default === undefined) faults.push(`${optionName(name)} is missing: ${option.help}`);
      values[name] = option.default;
      continue;
    }
    const parsed = parseValue({ group: "Run", ...option }, given[name]);
    if ("fault" in parsed) faults.push(`${optionName(name)}: ${parsed.fault}`);
    else values[name] = parsed.value;
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return values as OptionValues<T>;
}
