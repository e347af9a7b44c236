import * as errors from "../../src/base/errors.js";
import { EXIT, exitCodeOf } from "../../src/cli/exit-codes.js";
import type { Area, BadInput } from "./bad-input.js";

const MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  done: "Done.",
  internal: "highrank has a defect.",
  usage: "A verb, flag, setting or config file must be written otherwise.",
  data: "A file cannot be read or written, does not hold what it must, or holds a model that is not supported.",
  numbers: "A run stopped, or a model gave no result, because numbers are no longer finite.",
  device: "The memory ran out, a device failed, or a process of a job did; resume goes on from the last checkpoint.",
  hungUp: "The terminal of a run was closed; what it had reached is saved.",
  interrupted: "A run was interrupted; what it had reached is saved.",
  quit: "A run was ended by SIGQUIT; what it had reached is saved.",
  user: "A run was ended by SIGUSR1; what it had reached is saved.",
  terminated: "A run was told to end; what it had reached is saved.",
};

/**
 * The page of all error messages in Markdown, which `docs/errors.md` holds.
 * @param messages what the command printed for each of the rows.
 */
export function errorsPage(areas: readonly Area[], messages: ReadonlyMap<BadInput, string>): string {
  return [
    "# Errors",
    "",
    [
      "The command printed every message on this page while the tests ran it, so the page can be searched for a message,",
      "or for a part of one without names and numbers. A message says where the fault is, what must hold, what came",
      "instead, and the way out. Faults of several settings are reported together. Nothing is written before settings",
      "and files have been checked.",
    ].join(" "),
    "",
    [
      "Messages go to standard error. With `--json`, standard output also has one object,",
      '`{"error": {"name": …, "message": …}}`, whose name is the error class. The library throws the same classes; all of',
      "them are `HighrankError`. `HIGHRANK_DEBUG=1` shows where in highrank an error came from.",
    ].join(" "),
    "",
    "| exit code | meaning | error classes |",
    "|---|---|---|",
    ...Object.entries(EXIT).map(
      ([name, code]) => `| ${code} | ${MEANINGS[name as keyof typeof EXIT]} | ${classesOf(code).join(", ")} |`,
    ),
    "",
    ...areas.flatMap(({ title, rows }) => [
      `## ${title}`,
      "",
      ...rows.flatMap((row) => [
        `### ${row.name}`,
        "",
        "```console",
        ...[row.args, ...(row.alike ?? [])].map((args) => `$ ${[...variables(row), "highrank", ...args].join(" ")}`),
        messages.get(row)!,
        "```",
        "",
        `Exit code ${row.code}.`,
        "",
      ]),
    ]),
  ].join("\n");
}

function variables({ env = {} }: BadInput): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${/\s/.test(value) ? `"${value}"` : value}`);
}

function classesOf(code: number): string[] {
  const classes = Object.values(errors).filter((error) => error !== errors.HighrankError);
  return classes.filter((error) => exitCodeOf(new error("")) === code).map((error) => `\`${error.name}\``);
}
