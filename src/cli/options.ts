import type { Command } from "commander";
import { ConfigError } from "../base/errors.js";
import { defaultText, flagValues } from "../config/flags.js";
import { flagOf } from "../config/names.js";
import { parseValue } from "../config/parse-value.js";
import { choicesOf } from "../config/schema.js";
import type { Setting, ValueOf } from "../config/settings.js";
import { briefDefault, ListedOption } from "./usage.js";

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

/** Adds the options to the command's help and parser. Values stay text until {@link readOptions}. */
export function addOptions(command: Command, table: OptionTable): void {
  for (const [name, option] of Object.entries(table)) {
    const value =
      option.type === "boolean" ? "" : ` <${choicesOf(option)?.join("|") ?? option.unit ?? placeholder(option)}>`;
    const fallback = option.default === undefined ? "" : defaultText({ group: "Run", ...option });
    const whole = `${option.help} (${option.default === undefined ? "required" : `default: ${fallback}`})`;
    const brief = option.default === undefined ? whole : `${option.brief ?? option.help}${briefDefault(fallback)}`;
    const words = { whole, brief: option.isRare ? null : brief };
    command.addOption(new ListedOption(`${flagOf(name)}${value}`, words, flagValues(option)));
  }
}

function placeholder({ type, path }: OptionTable[string]): string {
  if (path !== undefined && type !== "list") return path.replace(" or ", "|");
  return type === "string" ? "text" : type === "list" ? "a,b,..." : type;
}

/**
 * The values of a command's options, defaults filled in.
 * @throws ConfigError with every value that is missing or out of range.
 */
export function readOptions<const T extends OptionTable>(command: Command, table: T): OptionValues<T> {
  const raw: Readonly<Record<string, unknown>> = command.opts();
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, option] of Object.entries(table)) {
    if (raw[name] === undefined) {
      if (option.default === undefined) faults.push(`${flagOf(name)} is missing: ${option.help}`);
      values[name] = option.default;
      continue;
    }
    const parsed = parseValue({ group: "Run", ...option }, raw[name]);
    if ("fault" in parsed) faults.push(`${flagOf(name)}: ${parsed.fault}`);
    else values[name] = parsed.value;
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return values as OptionValues<T>;
}
