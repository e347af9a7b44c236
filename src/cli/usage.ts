import { type Command, type CommanderError, Help, type HelpConfiguration, Option } from "commander";
import { ConfigError } from "../base/errors.js";
import { suggest } from "../base/suggest.js";
import type { FlagValues } from "../config/flags.js";
import { adviceForVerb } from "./verb-advice.js";

const TERM_COLUMNS = 30;

/** An option that the short help shows in fewer words, or leaves to `--help --all`. */
export class ListedOption extends Option {
  /** Its words in the short help; null if it is not there. */
  readonly brief: string | null;
  readonly values: FlagValues;

  constructor(flags: string, words: { readonly whole: string; readonly brief: string | null }, values: FlagValues) {
    super(flags, words.whole);
    this.brief = words.brief;
    this.values = values;
  }
}

/**
 * A default in the short help: nothing where it is a rule of many words, or says that a flag is off if it is not there.
 */
export function briefDefault(fallback: string): string {
  if (fallback.length > 52 || fallback === "false") return "";
  return ` (default: ${fallback.replace(/^none: /, "")})`;
}

/** Words that stand after the options in the help of all of them. */
const details = new WeakMap<Command, string>();

/** Adds lines after the options, which only `--help --all` prints. */
export function addDetails(command: Command, text: string): void {
  details.set(command, text);
}

/**
 * The look of help. Long terms get a line of their own, so that the text beside short ones keeps its width in 80
 * columns.
 * @param all true to show every option; otherwise those that the short help has.
 */
export function helpStyle(all: boolean): HelpConfiguration {
  const plain = new Help();
  const inShort = (option: Option): boolean => !(option instanceof ListedOption) || option.brief !== null;
  const whole: HelpConfiguration = {
    padWidth: () => TERM_COLUMNS,
    formatItem: (term, _width, description, helper) => {
      const indent = " ".repeat(TERM_COLUMNS + 4);
      const columns = Math.max(40, (helper.helpWidth ?? 80) - indent.length);
      const text = helper.boxWrap(description, columns).replaceAll("\n", `\n${indent}`);
      if (text === "") return `  ${term}`;
      if (helper.displayWidth(term) > TERM_COLUMNS) return `  ${term}\n${indent}${text}`;
      return `  ${term}${" ".repeat(TERM_COLUMNS + 2 - helper.displayWidth(term))}${text}`;
    },
    formatHelp: (command, helper) => plain.formatHelp.call(helper, command, helper) + (details.get(command) ?? ""),
  };
  if (all) return whole;
  return {
    ...whole,
    visibleOptions: (command) => {
      const shown = plain.visibleOptions(command).filter(inShort);
      const isListed = (option: Option): boolean => option instanceof ListedOption;
      return [...shown.filter(isListed), ...shown.filter((option) => !isListed(option))];
    },
    optionDescription: (option) => (option instanceof ListedOption ? option.brief! : plain.optionDescription(option)),
    // Groups of one or two would be mostly headings.
    groupItems: (unsorted, visible, groupOf) =>
      plain.groupItems(unsorted, visible, (item) => (item instanceof Option ? "Options:" : groupOf(item))),
    formatHelp: (command, helper) => {
      const left = plain.visibleOptions(command).filter((option) => !inShort(option)).length;
      const text = plain.formatHelp.call(helper, command, helper);
      return left === 0 ? text : `${text}\n${commandPath(command)} --help --all shows ${left} more options.\n`;
    },
  };
}

/** Advice for an option that a command does not have; empty if nothing is near. */
export type UnknownOptionAdvice = (flag: string) => string;

/** Advice from the command's own options. */
export function adviceFromOptions(command: Command): UnknownOptionAdvice {
  return (flag) => {
    const nearest = suggest(flag.replace(/^--?/, ""), [...command.options.map((option) => option.name()), "help"]);
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
  if (error.code === "commander.unknownOption") hint = valueOfSwitch(command, named) ?? advice(named);
  if (error.code === "commander.unknownCommand") {
    hint = adviceForVerb(
      named,
      command.commands.map((verb) => verb.name()),
    );
  }
  const path = commandPath(command);
  throw new ConfigError(`${message}${hint}\n${path} --help lists what there is`);
}

/** Advice for `--rslora=yes`, where `--rslora` takes no value; null for anything else. */
function valueOfSwitch(command: Command, typed: string): string | null {
  const [flag, value] = typed.split("=", 2);
  const option = command.options.find(({ long }) => long === flag);
  if (value === undefined || option === undefined || option.required || option.optional) return null;
  const opposite = flag!.startsWith("--no-") ? flag!.replace("--no-", "--") : flag!.replace("--", "--no-");
  const hasOpposite = command.options.some(({ long }) => long === opposite);
  return `; ${flag} is a switch without a value: write ${flag} alone${hasOpposite ? `, or ${opposite}` : ""}`;
}

/**
 * Refuses options of a command, and of those below it, that are given twice with different values; without this the
 * first would be dropped without a word. Options that collect their values are left out.
 */
export function requireSingleValues(command: Command): void {
  for (const option of command.options.filter(({ parseArg, variadic }) => parseArg === undefined && !variadic)) {
    let before: unknown;
    command.on(`option:${option.name()}`, (value: unknown) => {
      if (typeof value === "string" && typeof before === "string" && value !== before) {
        throw new ConfigError(`${option.long}: is given twice, as ${before} and as ${value}; give it once`);
      }
      before = value;
    });
  }
  for (const below of command.commands) requireSingleValues(below);
}

/** The words by which a command is called: `highrank inspect schedule`. */
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

interface VerbTraits {
  /** Answers unknown options. */
  readonly advice?: (command: Command) => UnknownOptionAdvice;
  /** False for a verb that refuses `--json` with words of its own. Default: true. */
  readonly hasJson?: boolean;
}

/** A verb below `parent`, with `--json` and our errors. */
export function addVerb(
  parent: Command,
  name: string,
  summary: string,
  { advice, hasJson = true }: VerbTraits = {},
): Command {
  const command = parent.command(name).description(summary);
  command.addOption(new Option("--json", "print one JSON object on standard output").hideHelp(!hasJson));
  return command.exitOverride((error) => explainUsage(command, error, advice?.(command)));
}
