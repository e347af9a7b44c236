import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "./run-command.js";

/** Lines typed up to the tab, what must be offered, and what must not. */
const CASES: readonly (readonly [line: string, offered: readonly string[], not: readonly string[]])[] = [
  ["highrank ", ["train", "resume", "doctor", "completion"], ["schedule", "--rank"]],
  ["highrank tr", ["train"], ["resume"]],
  ["highrank train --ma", ["--max-steps", "--max-train-tokens"], ["--rank", "--machine"]],
  ["highrank train --method ", ["full", "lora", "relora"], ["train", "a file.txt"]],
  ["highrank train --method lo", ["lora"], ["relora"]],
  ["highrank train --data a", ["a file.txt", "a-folder"], ["all", "b.txt"]],
  ["highrank train --rank ", [], ["a file.txt", "full"]],
  ["highrank eval a", ["a file.txt", "a-folder"], ["b.txt"]],
  ["highrank inspect schedule --sched", ["--schedule"], ["--rank"]],
  ["highrank inspect sch", ["schedule"], ["train"]],
  ["highrank tokenizer train --", ["--vocab-size", "--out"], ["--rank"]],
  ["highrank export run --to ", ["peft", "hf", "onnx"], ["nf4"]],
  ["highrank completion ", ["bash", "zsh", "fish"], ["train"]],
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-completion-"));
  for (const name of ["a file.txt", "b.txt"]) await writeFile(path.join(folder, name), "");
  await writeFile(path.join(folder, "a-folder"), "");
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout, stderr } = await runCommand(["completion", shell]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    await writeFile(path.join(folder, `.highrank.${shell}`), stdout);
  }
});
afterAll(() => rm(folder, { recursive: true }));

/** Programs that print, a line each, what the shell's own completion offers for the line in LINE. */
const SHELLS: Readonly<Record<string, string>> = {
  bash: `source ./.highrank.bash
    read -ra COMP_WORDS <<< "$LINE"
    [[ $LINE == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
    _highrank
    printf '%s\\n' "\${COMPREPLY[@]}"`,
  // In place of zsh's own functions, which need a terminal, some that print what they are given.
  zsh: `compdef() { :; }
    compadd() { print -l -- "\${@:#--}"; }
    _files() { print -l -- *(N); }
    _describe() { print -l -- "\${(@)\${(@P)@[-1]}%%:*}"; }
    source ./.highrank.zsh
    words=("\${(@s: :)LINE}") CURRENT=$#words
    _highrank | while read -r word; do [[ $word == "\${words[-1]}"* ]] && print -r -- $word; done`,
  fish: "source ./.highrank.fish; complete -C $LINE | string replace -r '\\t.*' ''",
};

for (const [shell, program] of Object.entries(SHELLS)) {
  const isMissing = spawnSync(shell, ["--version"]).status !== 0 && process.env.CI !== "true";
  if (isMissing) console.warn(`SKIPPED: the completion of ${shell} needs Debian's package ${shell}`);

  test.skipIf(isMissing).each(CASES)(`${shell} completes "%s"`, (line, offered, not) => {
    const { stdout, stderr } = spawnSync(shell, [...(shell === "zsh" ? ["-f"] : []), "-c", program], {
      cwd: folder,
      encoding: "utf8",
      env: { PATH: process.env.PATH, HOME: folder, LINE: line },
    });
    expect(stderr).toBe("");
    const words = stdout.split("\n").map((word) => word.replaceAll("\\", "").trim());
    expect(words).toEqual(expect.arrayContaining([...offered]));
    expect(words.filter((word) => not.includes(word))).toEqual([]);
  });
}

test("a shell that there is no script for is refused", async () => {
  const { code, stderr } = await runCommand(["completion", "csh"]);
  expect(stderr).toBe('error: SHELL must be bash, zsh or fish, got "csh"\n');
  expect(code).toBe(2);
});
