import { type Command, Option } from "commander";
import { flagOf, kebabCase } from "../base/naming.js";
import { defaultText, flagValues } from "../config/flags.js";
import { choicesOf } from "../config/schema.js";
import { completeOptions, type OptionTable, type OptionValues } from "../verbs/option-table.js";
import { briefDefault, ListedOption } from "./usage.js";

export type { OptionTable, OptionValues };

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
    if (option.type !== "boolean" || option.default === false) continue;
    command.addOption(new Option(`--no-${kebabCase(name)}`).hideHelp());
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
  return completeOptions(table, command.opts());
}
