import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Ready } from "./sides/serve.js";
import { REPOSITORY, type StepOptions, stepArguments } from "./step-options.js";

/** The interpreter with the libraries of tests/peers/requirements.txt. */
export function peers(): string {
  const prepare = join(REPOSITORY, "tests/peers/prepare.js");
  return process.env.PYTHON ?? execFileSync(process.execPath, [prepare, "--where"], { encoding: "utf8" }).trim();
}

/** The folder of one of the models of tests/peers/models.txt by its name, or the path that is given. */
export function peerModel(nameOrPath: string): string {
  return nameOrPath.includes("/") ? nameOrPath : join(peers(), "../../models", nameOrPath);
}

/** Runs a program to its end. @returns the JSON in the last line that it prints. */
export function lastLineOf<T>(command: string, args: readonly string[]): T {
  const output = execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return JSON.parse(output.trim().split("\n").at(-1)!) as T;
}

/** The programs that can be measured, by name. */
const SIDES: Readonly<Record<string, readonly [command: string | (() => string), script: string, ...more: string[]]>> =
  {
    highrank: [process.execPath, "dist-bench/bench/sides/highrank-step.js"],
    "highrank-nf4": [process.execPath, "dist-bench/bench/sides/highrank-step.js", "--quantize", "nf4"],
    "highrank-int8": [process.execPath, "dist-bench/bench/sides/highrank-step.js", "--quantize", "int8"],
    torch: [peers, "bench/sides/torch-step.py"],
    "torch-nf4": [peers, "bench/sides/torch-step.py", "--quantize", "nf4"],
    "torch-compiled": [peers, "bench/sides/torch-step.py", "--compile"],
    "jax-js": [process.execPath, "dist-bench/bench/sides/jax-step.js"],
  };

/** One step, as every side tells it. */
export interface MeasuredStep {
  readonly ms: number;
  readonly cpuMs: number;
  readonly loss: number;
}

/** One step of highrank, on its first rank. */
export interface RankStep extends MeasuredStep {
  /** Norm, clipping and AdamW. */
  readonly updateMs: number;
  /** In exchanges among ranks, which is also the time of waiting for others. */
  readonly exchangeMs: number;
  readonly sentBytes: number;
  readonly messages: number;
}

/** One side in a process of its own, spoken to by the line protocol of bench/README.md. */
export class SideProcess {
  readonly ready: Ready;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;

  private constructor(child: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>, ready: Ready) {
    this.child = child;
    this.lines = lines;
    this.ready = ready;
  }

  /**
   * Starts the side and waits until it is ready for its first step.
   * @param launcher words before the command, which start it as several ranks.
   */
  static async start(name: string, options: StepOptions, launcher: readonly string[] = []): Promise<SideProcess> {
    const side = SIDES[name];
    if (side === undefined) throw new Error(`no side "${name}"; there are ${Object.keys(SIDES).join(", ")}`);
    const [command, script, ...more] = side;
    const interpreter = typeof command === "string" ? command : command();
    const [program, ...words] = [
      ...launcher,
      interpreter,
      join(REPOSITORY, script),
      ...stepArguments(options),
      ...more,
    ];
    const child = spawn(program!, words);
    child.stderr.pipe(process.stderr);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new SideProcess(child, lines, await nextMessage<Ready>(name, lines));
  }

  step<T extends MeasuredStep = MeasuredStep>(): Promise<T> {
    return this.ask<T>("step");
  }

  /** Highest resident memory of the process so far. */
  async peakBytes(): Promise<number> {
    return (await this.ask<{ peakBytes: number }>("peak")).peakBytes;
  }

  /** Share of a step's time inside matrix multiplications; undefined where the side cannot tell. */
  async matmulShare(): Promise<number | undefined> {
    return (await this.ask<{ matmulShare?: number }>("profile")).matmulShare;
  }

  async quit(): Promise<void> {
    const ended = once(this.child, "exit");
    this.child.stdin.end("quit\n");
    await ended;
  }

  private ask<T>(command: string): Promise<T> {
    this.child.stdin.write(`${command}\n`);
    return nextMessage<T>(this.ready.side, this.lines);
  }
}

async function nextMessage<T>(name: string, lines: AsyncIterator<string>): Promise<T> {
  const { value, done } = await lines.next();
  if (done) throw new Error(`${name}: the process ended without an answer; its last words are above`);
  return JSON.parse(value) as T;
}
