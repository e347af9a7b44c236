import type { FlagValues } from "../config/flags.js";

/** A verb as shells complete it. */
export interface CommandTree {
  /** The words after `highrank`: `train`, `inspect schedule`; empty for `highrank` itself. */
  readonly words: string;
  readonly summary: string;
  /** Words that may follow. */
  readonly verbs: readonly string[];
  /** True if the arguments may be files. */
  readonly takesFiles: boolean;
  readonly flags: readonly { readonly name: string; readonly help: string; readonly values: FlagValues }[];
}

/** Flags of one verb that take such values. */
function flagsWith({ flags }: CommandTree, ...kinds: FlagValues["kind"][]): CommandTree["flags"] {
  return flags.filter(({ values }) => kinds.includes(values.kind));
}

const single = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The purpose of a flag, in a few words: those of its help before the default and the second sentence. */
function summaryOf(help: string): string {
  return help.replace(/ \((?:default: |required\)).*$/s, "").replace(/\.(?: .*)?$/s, "");
}

/**
 * Lines of a `case` over `"VERB|FLAG"`, common to bash and zsh: what may follow a flag that takes a value. The flags of
 * all verbs with the same values share a line.
 */
function valueCases(trees: readonly CommandTree[], choose: (words: string) => string, files: string): string[] {
  const patterns = new Map<string, string[]>();
  for (const tree of trees) {
    for (const { name, values } of flagsWith(tree, "choice", "path", "other")) {
      const action = values.kind === "choice" ? choose(values.choices.join(" ")) : values.kind === "path" ? files : ":";
      patterns.set(action, [...(patterns.get(action) ?? []), `"${tree.words}|${name}"`]);
    }
  }
  return [...patterns].map(([action, named]) => `    ${named.join(" | ")}) ${action}; return ;;`);
}

/** Finds the verb among the words typed so far: the longest path of verbs that they begin with. */
function findVerb(trees: readonly CommandTree[], words: (index: number) => string, count: string): string[] {
  const groups = trees.filter(({ words: path }) => path.includes(" ")).map(({ words: path }) => `"${path}"`);
  const first = trees.filter(({ words: path }) => path !== "" && !path.includes(" ")).map((tree) => `"${tree.words}"`);
  return [
    `  case ${words(1)} in ${first.join(" | ")}) ((${count} > 1)) && verb=${words(1)} ;; esac`,
    `  case "${words(1).slice(1, -1)} ${words(2).slice(1, -1)}" in`,
    `    ${groups.join(" | ")}) ((${count} > 2)) && verb="${words(1).slice(1, -1)} ${words(2).slice(1, -1)}" ;;`,
    "  esac",
  ];
}

/** A script for bash, 3.2 and later. */
export function bashScript(trees: readonly CommandTree[]): string {
  const flags = trees.map(
    (tree) => `      "${tree.words}") words="${tree.flags.map(({ name }) => name).join(" ")}" ;;`,
  );
  const verbs = trees
    .filter((tree) => tree.verbs.length > 0)
    .map((tree) => `      "${tree.words}") words="${tree.verbs.join(" ")}" ;;`);
  const files = trees.filter((tree) => tree.takesFiles).map((tree) => `"${tree.words}"`);
  return [
    "# Completion of highrank for bash. Source it, or put it into",
    "# ~/.local/share/bash-completion/completions/highrank",
    "_highrank() {",
    `  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD - 1]}" verb= words=`,
    "  # bash takes --flag=value apart at the sign.",
    '  if [[ $cur == "=" ]]; then cur=',
    `  elif [[ $prev == "=" ]]; then prev="\${COMP_WORDS[COMP_CWORD - 2]}"; fi`,
    "  COMPREPLY=()",
    ...findVerb(trees, (index) => `"\${COMP_WORDS[${index}]}"`, "COMP_CWORD"),
    '  case "$verb|$prev" in',
    ...valueCases(trees, (words) => `COMPREPLY=($(compgen -W "${words}" -- "$cur"))`, '_highrank_files "$cur"'),
    "  esac",
    "  if [[ $cur == -* ]]; then",
    '    case "$verb" in',
    ...flags,
    "    esac",
    "  else",
    '    case "$verb" in',
    ...verbs,
    "    esac",
    `    case "$verb" in ${files.join(" | ")}) _highrank_files "$cur" ;; esac`,
    "  fi",
    '  COMPREPLY+=($(compgen -W "$words" -- "$cur"))',
    "}",
    "_highrank_files() {",
    "  local IFS=$'\\n'",
    "  compopt -o filenames 2>/dev/null",
    '  COMPREPLY=($(compgen -f -- "$1"))',
    "}",
    "complete -F _highrank highrank",
    "",
  ].join("\n");
}

/** A script for zsh. */
export function zshScript(trees: readonly CommandTree[]): string {
  const entry = (name: string, help: string): string => single(`${name}:${summaryOf(help)}`);
  const summaries = new Map(trees.map(({ words, summary }) => [words, summary]));
  const verbs = trees
    .filter((tree) => tree.verbs.length > 0)
    .map((tree) => {
      const entries = tree.verbs.map((verb) => entry(verb, summaries.get(`${tree.words} ${verb}`.trim()) ?? verb));
      return `      "${tree.words}") offered=(${entries.join(" ")}) ;;`;
    });
  const flags = trees.map(
    (tree) => `      "${tree.words}") offered=(${tree.flags.map(({ name, help }) => entry(name, help)).join(" ")}) ;;`,
  );
  const files = trees.filter((tree) => tree.takesFiles).map((tree) => `"${tree.words}"`);
  return [
    "#compdef highrank",
    "# Completion of highrank for zsh. Put it into a folder of fpath as _highrank.",
    "_highrank() {",
    "  local verb= cur=$words[CURRENT] prev=$words[CURRENT-1]",
    `  local -a typed=("\${words[@]}") offered=()`,
    ...findVerb(trees, (index) => `"$typed[${index + 1}]"`, "CURRENT - 1"),
    '  case "$verb|$prev" in',
    ...valueCases(trees, (choices) => `compadd -- ${choices}`, "_files"),
    "  esac",
    "  if [[ $cur == -* ]]; then",
    '    case "$verb" in',
    ...flags,
    "    esac",
    "    _describe -o option offered",
    "  else",
    '    case "$verb" in',
    ...verbs,
    "    esac",
    "    _describe verb offered",
    `    case "$verb" in ${files.join(" | ")}) _files ;; esac`,
    "  fi",
    "}",
    'if [[ $funcstack[1] == _highrank ]]; then _highrank "$@"; else compdef _highrank highrank; fi',
    "",
  ].join("\n");
}

/** A script for fish. */
export function fishScript(trees: readonly CommandTree[]): string {
  const summaries = new Map(trees.map(({ words, summary }) => [words, summary]));
  const lines = trees.flatMap((tree) => {
    // `train` is a verb, and a part of `tokenizer train`.
    const groups = trees.filter(({ words, verbs }) => words !== "" && verbs.includes(tree.words));
    const inner = tree.verbs.filter((verb) => summaries.has(`${tree.words} ${verb}`.trim()));
    const isHere = [
      ...tree.words
        .split(" ")
        .filter((word) => word !== "")
        .map((word) => `__fish_seen_subcommand_from ${word}`),
      ...groups.map(({ words }) => `not __fish_seen_subcommand_from ${words}`),
      ...(inner.length > 0 ? [`not __fish_seen_subcommand_from ${inner.join(" ")}`] : []),
    ].join("; and ");
    const head = `complete -c highrank -n ${single(isHere)}`;
    const value = ({ kind, choices }: FlagValues): string => {
      if (kind === "choice") return ` -x -a ${single(choices.join(" "))}`;
      return { none: "", path: " -r -F", other: " -x" }[kind];
    };
    return [
      ...tree.verbs.map((verb) => {
        const summary = summaries.get(`${tree.words} ${verb}`.trim()) ?? verb;
        return `${head} -a ${verb} -d ${single(summary)}`;
      }),
      ...(tree.takesFiles ? [`${head} -F`] : []),
      ...tree.flags.map(
        ({ name, help, values }) => `${head} -l ${name.slice(2)}${value(values)} -d ${single(summaryOf(help))}`,
      ),
    ];
  });
  return [
    "# Completion of highrank for fish. Put it into ~/.config/fish/completions/highrank.fish",
    "complete -c highrank -f",
    ...lines,
    "",
  ].join("\n");
}
