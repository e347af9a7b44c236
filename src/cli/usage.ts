import type { Command, CommanderError, HelpConfiguration } from "commander";
import { ConfigError } from "../base/errors.js";
import { suggest } from "../base/suggest.js";
import { adviceForVerb } from "./verb-advice.js";

const TERM_COLUMNS = 30;

/** Long terms get a line of their own, so that the text beside short ones keeps its width in 80 columns. */
export const HELP_STYLE: HelpConfiguration = {
  padWidth: () => TERM_COLUMNS,
  formatItem: (term, _width, description, helper) => {
    const indent = " ".repeat(TERM_COLUMNS + 4);
    const columns = Math.max(40, (helper.helpWidth ?? 80) - indent.length);
    const text = helper.boxWrap(description, columns).replaceAll("\n", `\n${indent}`);
    if (text === "") return `  ${term}`;
    if (helper.displayWidth(term) > TERM_COLUMNS) return `  ${term}\n${indent}${text}`;
    return `  ${term}${" ".repeat(TERM_COLUMNS + 2 - helper.displayWidth(term))}${text}`;
  },
};

/** Advice for an option that a command does not have; empty if nothing is near. */
export type UnknownOptionAdvice = (flag: string) => string;

/** Advice from the command's own options. */
export function adviceFromOptions(command: Command): UnknownOptionAdvice {
  return (flag) => {
    const nearest = suggest(
      flag.replace(/^--?/, ""),
      command.options.map((option) => option.name()),
    );
    return nearest === undefined ? "" : `; did you mean --${nearest}?`;
  };
}

/** Turns what commander finds wrong into a ConfigError; lets the ends of `--help` and `--version` pass. */
export function explainUsage(
  command: Command,
  error: CommanderError,
  advice: UnknownOptionAdvice = adviceFromOptions(command),
): never {
  if (
    error.code === "commander.helpDisplayed" ||
    error.code === "commander.version" ||
    error.code === "commander.help"
  ) {
    throw error;
  }
  const message = error.message.replace(/^error: /, "");
  const named = /'([^']*)'/.exec(message)?.[1] ?? "";
  let hint = "";
  if (error.code === "commander.unknownOption") hint = advice(named);
  if (error.code === "commander.unknownCommand") {
    hint = adviceForVerb(
      named,
      command.commands.map((verb) => verb.name()),
    );
  }
  const path = commandPath(command);
  throw new ConfigError(`${message}${hint}\n${path} --help lists what there is`);
}

function commandPath(command: Command): string {
  const parts: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) parts.unshift(at.name());
  return parts.join(" ");
}

/** A verb that only holds verbs of its own. */
export function addVerbGroup(parent: Command, name: string, summary: string): Command {
  const group = parent.command(name).description(summary);
  return group.exitOverride((error) => explainUsage(group, error));
}

/** A verb below `parent`, with `--json` and our errors. `advice` answers unknown options. */
export function addVerb(
  parent: Command,
  name: string,
  summary: string,
  advice?: (command: Command) => UnknownOptionAdvice,
): Command {
  const command = parent.command(name).description(summary);
  command.option("--json", "print one JSON object on standard output, everything else on standard error");
  return command.exitOverride((error) => explainUsage(command, error, advice?.(command)));
}
