import { spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";

/** Built programs run it too, which lie elsewhere. */
const PROGRAM = path.resolve("tests/kill/life.mjs");

/** Begins with the process, ends when the first record of the life is written. */
export type Stage = "opening" | "running";

/** A call into the file system begins. */
export interface CallEvent {
  readonly call: number;
  readonly stage: Stage;
  /** Of the function; `create` opens for writing. */
  readonly name: string;
  /** In the run folder, with `*` for what names of its own make different each time. */
  readonly path: string;
  /** How often the stage has made it by now; in the opening, which call it is. */
  readonly nth: number;
}

/** A call has ended. */
export interface MadeEvent {
  readonly made: number;
}

export interface RecordEvent {
  readonly record: string;
  readonly step: number;
}

/** What a life wrote down, and when, in milliseconds since 1970. */
export type LifeEvent = (CallEvent | MadeEvent | RecordEvent) & { readonly at: number };

/** A call that kills. */
export interface CallShot extends Partial<Pick<CallEvent, "name" | "path">> {
  readonly stage: Stage;
  readonly nth: number;
  readonly when: "before" | "half" | "after";
}

/** A moment to kill at: so long after a record, or after the start of the process. */
export interface MomentShot {
  readonly after: RecordEvent | null;
  readonly delay: number;
}

export type Shot = CallShot | MomentShot;

export interface Order {
  readonly verb: "train" | "resume";
  readonly folder: string;
  /** For `train`. */
  readonly settings: object;
  readonly changes: object;
}

/** How a process went. */
export interface Life {
  readonly verb: Order["verb"];
  readonly events: readonly LifeEvent[];
  readonly end: "done" | "killed" | "failed";
  readonly startedAt: number;
  readonly endedAt: number;
  /** What it wrote to standard error. */
  readonly complaint: string;
}

/** Trains or resumes in a process of its own, which the shot kills if it comes to that. */
export async function live(order: Order, shot: Shot | null): Promise<Life> {
  const log = `${order.folder}.log`;
  const startedAt = now();
  const { end, complaint } = await runProgram({ ...order, log }, shot);
  const endedAt = now();
  const lines = (await readFile(log, "utf8").catch(() => "")).split("\n").slice(0, -1);
  await rm(log, { force: true });
  return { verb: order.verb, events: lines.map((line) => JSON.parse(line)), end, startedAt, endedAt, complaint };
}

function runProgram(order: object, shot: Shot | null): Promise<Pick<Life, "end" | "complaint">> {
  return new Promise((resolve, reject) => {
    const moment = shot !== null && "delay" in shot ? shot : null;
    const child = spawn(
      process.execPath,
      [PROGRAM, JSON.stringify({ ...order, shot: moment === null ? shot : null })],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let timer: NodeJS.Timeout | undefined;
    const arm = (): void => {
      timer = setTimeout(() => child.kill("SIGKILL"), moment!.delay);
    };
    if (moment?.after === null) arm();
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { record, step } = JSON.parse(line) as RecordEvent;
      if (record === moment?.after?.record && step === moment.after.step) arm();
    });
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ end: code === 0 ? "done" : signal === "SIGKILL" ? "killed" : "failed", complaint });
    });
  });
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
