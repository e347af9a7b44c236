import type { Command } from "commander";
import { ConfigError } from "../base/errors.js";
import type { FlagValues } from "../config/flags.js";
import type { CommandTree } from "./completion-scripts.js";
import { bashScript, fishScript, zshScript } from "./completion-scripts.js";
import type { Context } from "./context.js";
import { addVerb, ListedOption } from "./usage.js";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

const HELP_AFTER = `
bash, zsh and fish complete verbs, flags, the values of flags and file names:
  highrank completion bash > ~/.local/share/bash-completion/completions/highrank
  highrank completion zsh > ~/.zfunc/_highrank    (with ~/.zfunc in fpath)
  highrank completion fish > ~/.config/fish/completions/highrank.fish`;

/** `highrank completion SHELL` */
export function addCompletion(program: Command, context: Context): void {
  const command = addVerb(program, "completion", "write a script with which a shell completes what is typed")
    .argument("<SHELL>", "bash, zsh or fish")
    .addHelpText("after", HELP_AFTER);
  command.action((shell: string) => {
    if (!Object.hasOwn(SCRIPTS, shell)) throw new ConfigError(`SHELL must be bash, zsh or fish, got "${shell}"`);
    const script = SCRIPTS[shell as keyof typeof SCRIPTS](treeOf(program));
    context.result({ shell, script }, () => script.trimEnd().split("\n"));
  });
}

/** Every verb by the words after `highrank`, with its flags; the first, without words, is the program itself. */
function treeOf(command: Command): CommandTree[] {
  const words = pathOf(command);
  const own: CommandTree = {
    words: words.join(" "),
    summary: command.description(),
    verbs: command.commands.map((verb) => verb.name()),
    takesFiles: command.registeredArguments.length > 0,
    flags: [
      ...command.options
        .filter(({ hidden }) => !hidden)
        .map((option) => ({
          name: option.long!,
          help: option instanceof ListedOption ? (option.brief ?? option.description) : option.description,
          values: option instanceof ListedOption ? option.values : otherValues(option),
        })),
      { name: "--help", help: "display help for command", values: NONE },
    ],
  };
  const verbs = command.commands.flatMap(treeOf);
  if (words.length > 0) return [own, ...verbs];
  // Its arguments are bash, zsh and fish, which complete as verbs do.
  const shells = (tree: CommandTree): CommandTree =>
    tree.words === "completion" ? { ...tree, verbs: Object.keys(SCRIPTS), takesFiles: false } : tree;
  return [own, ...verbs.map(shells)];
}

/** The verbs of the command, without the program's name. */
function pathOf(command: Command): string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}

const NONE: FlagValues = { kind: "none", choices: [] };

function otherValues({ required, optional }: { required: boolean; optional: boolean }): FlagValues {
  return required || optional ? { kind: "other", choices: [] } : NONE;
}
