import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** How a command ended and what it wrote. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link runCommand}. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Writes beyond this size of one file fail. */
  readonly maxFileKilobytes?: number;
  /** What standard input holds. Default: nothing. */
  readonly input?: string;
}

/** Runs the built `highrank` in `cwd`, without a terminal. */
export function runCommand(
  args: readonly string[],
  { cwd, env = {}, maxFileKilobytes, input }: RunOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const command = [process.execPath, MAIN, ...args];
    // POSIX counts the limit in blocks of 512 bytes.
    if (maxFileKilobytes !== undefined)
      command.unshift("sh", "-c", `ulimit -f ${2 * maxFileKilobytes}; exec "$0" "$@"`);
    const child = spawn(command[0]!, command.slice(1), { cwd, env: { PATH: process.env.PATH, ...env } });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(input);
  });
}

/** Contents by relative path; folders appear as needed. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

/** Calls `use` with a new folder that holds the files, and removes the folder afterwards. */
export async function withFolder<T>(files: Files, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-test-"));
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
      await writeFile(path.join(folder, name), content);
    }
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Paths of all files and folders below the folder, sorted. */
export async function listTree(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}
