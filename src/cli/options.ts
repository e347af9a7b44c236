import { type Command, Option } from "commander";
import { flagOf, kebabCase } from "../base/naming.js";
import { defaultText } from "../config/flags.js";
import { choicesOf } from "../config/schema.js";
import { completeOptions, type OptionTable, type OptionValues } from "../verbs/option-table.js";

export type { OptionTable, OptionValues };

/** Adds the options to the command's help and parser. Values stay text until {@link readOptions}. */
export function addOptions(command: Command, table: OptionTable): void {
  for (const [name, option] of Object.entries(table)) {
    const value =
      option.type === "boolean" ? "" : ` <${choicesOf(option)?.join("|") ?? option.unit ?? placeholder(option)}>`;
    const fallback = option.default === undefined ? "required" : `default: ${defaultText({ group: "Run", ...option })}`;
    command.addOption(new Option(`${flagOf(name)}${value}`, `${option.help} (${fallback})`));
    if (option.type !== "boolean" || option.default === false) continue;
    command.addOption(new Option(`--no-${kebabCase(name)}`).hideHelp());
  }
}

function placeholder({ type }: OptionTable[string]): string {
  return type === "string" ? "text" : type === "list" ? "a,b,..." : type;
}

/**
 * The values of a command's options, defaults filled in.
 * @throws ConfigError with every value that is missing or out of range.
 */
export function readOptions<const T extends OptionTable>(command: Command, table: T): OptionValues<T> {
  return completeOptions(table, command.opts());
}
