import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { CommandResult } from "../run-command.js";
import { commandOf, type Library } from "./mpirun.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** A job of several processes of the built `highrank`, under way. */
export class Job {
  readonly ended: Promise<CommandResult>;
  readonly #launcher: ChildProcess;

  constructor(library: Library, ranks: number, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [program, ...words] = commandOf(library, ranks, [MAIN, ...args]);
    const { PATH, HOME } = process.env;
    this.#launcher = spawn(program!, words, { env: { PATH, HOME, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    this.#launcher.stdout!.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    this.#launcher.stderr!.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    this.ended = new Promise((resolve) => {
      this.#launcher.on("close", (code, signal) => resolve({ code: signal === null ? code : -1, stdout, stderr }));
    });
  }

  /** Waits until the run has recorded so many steps. @throws if the job ends before. */
  async untilStep(out: string, step: number): Promise<void> {
    let early: CommandResult | undefined;
    this.ended.then((result) => {
      early = result;
    });
    for (;;) {
      const text = await readFile(path.join(out, "metrics.jsonl"), "utf8").catch(() => "");
      if (text.includes(`{"kind":"step","step":${step},`)) return;
      if (early !== undefined) throw new Error(`the job ended before step ${step}: ${early.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Sends a signal to the launcher. */
  signal(name: NodeJS.Signals): void {
    this.#launcher.kill(name);
  }
}

/** Runs a job to its end. */
export function runJob(library: Library, ranks: number, args: readonly string[]): Promise<CommandResult> {
  return new Job(library, ranks, args).ended;
}

/** The processes of a run's ranks, by rank: those that were started with this output folder. */
export async function rankProcesses(out: string): Promise<number[]> {
  const { readdir } = await import("node:fs/promises");
  const found: [rank: number, pid: number][] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
    const words = (await read("cmdline")).split("\0");
    if (words[1] !== MAIN || !words.includes(out)) continue;
    const rank = /(?:^|\0)(?:OMPI_COMM_WORLD_RANK|PMI_RANK)=(\d+)/.exec(await read("environ"))?.[1];
    if (rank !== undefined) found.push([Number(rank), Number(pid)]);
  }
  return found.sort(([a], [b]) => a - b).map(([, pid]) => pid);
}
