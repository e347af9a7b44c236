import { execFile, spawnSync } from "node:child_process";
import type { CommandResult, RunOptions } from "../run-command.js";

/** The MPI libraries of Debian, which can be installed side by side. */
export const LIBRARIES = ["openmpi", "mpich"] as const;
export type Library = (typeof LIBRARIES)[number];

/** Flags that let root start more processes than there are cores, on all of them. */
const FLAGS: Readonly<Record<Library, readonly string[]>> = {
  openmpi: ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
  mpich: [],
};

/** The words before a command that run it as several ranks. */
export function launcherWords(library: Library, ranks: number): string[] {
  return [`mpirun.${library}`, ...FLAGS[library], "-n", String(ranks)];
}

/** The command that runs `node FILE …` as several ranks. */
export function commandOf(library: Library, ranks: number, args: readonly string[]): string[] {
  return [...launcherWords(library, ranks), process.execPath, ...args];
}

/** Runs `node FILE …` as several ranks. */
export function mpirun(
  library: Library,
  ranks: number,
  args: readonly string[],
  { cwd, env = {} }: Pick<RunOptions, "cwd" | "env"> = {},
): Promise<CommandResult> {
  const [program, ...words] = commandOf(library, ranks, args);
  return new Promise((resolve) => {
    execFile(
      program!,
      words,
      { cwd, env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env }, timeout: 110_000 },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : (error.code as number | null), stdout, stderr }),
    );
  });
}

/** True, and said so, where a library is missing; never in continuous integration, where its tests fail instead. */
export function isMissing(library: Library): boolean {
  if (process.env.CI === "true" || spawnSync(`mpirun.${library}`, ["--version"]).status === 0) return false;
  console.warn(`mpirun.${library} is not installed: its tests are skipped`);
  return true;
}
