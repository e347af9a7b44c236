import { appendFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { describe, inject } from "vitest";
import { HighrankError } from "../../src/base/errors.js";

/** Whether there are libraries to compare with. `setup.ts` warns if not, and fails where CI=true. */
export function peersAvailable(): boolean {
  return inject("peersSocket") !== null;
}

/** Like `describe`; where the libraries are not installed its tests are skipped, and the suite says so. */
export function describePeers(name: string, tests: () => void): void {
  describe.runIf(peersAvailable())(name, tests);
}

/**
 * Calls `name(**given)` of python/`module`.py in the Python process of this suite and returns what it returns. Values
 * are JSON; large arrays travel as files.
 * @throws Error with Python's traceback.
 */
export async function ask<Result>(module: string, name: string, given: object = {}): Promise<Result> {
  connection ??= new Connection(inject("peersSocket")!);
  return (await connection.ask({ module, name, given })) as Result;
}

/** Folder of a real model in float32, with its tokenizer, as transformers writes it. */
export async function realModel(name: "smollm2-135m" | "gemma3-270m"): Promise<string> {
  return ask("real_models", "folder", { name });
}

/** Losses of one file as a library and highrank compute them, or the words by which highrank refuses it. */
type Comparison = { readonly theirs: number; readonly ours: number } | { readonly refused: string };

/** Adds a row of Markdown to the file that the environment variable PEERS_TABLE names, if it names one. */
export function record(what: string, comparison: Comparison): void {
  const file = process.env.PEERS_TABLE;
  if (file === undefined) return;
  const cells =
    "refused" in comparison
      ? ["", "", `refused: ${comparison.refused.replaceAll(new RegExp(`${tmpdir()}/[^\\s:]*/`, "g"), "")}`]
      : [
          comparison.theirs.toFixed(6),
          comparison.ours.toFixed(6),
          (comparison.ours - comparison.theirs).toExponential(1),
        ];
  const text = [what, ...cells].map((cell) => cell.replaceAll("|", "\\|").replaceAll(/\s+/g, " ")).join(" | ");
  appendFileSync(file, `| ${text} |\n`);
}

/** The words by which highrank refuses something. @throws Error if it does not. */
export async function refusal(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (cause) {
    if (cause instanceof HighrankError) return cause.message;
    throw cause;
  }
  throw new Error("it is not refused");
}

let connection: Connection | undefined;

interface Answer {
  readonly result?: unknown;
  readonly error?: string;
}

/** Questions and answers, a line each, in the same order. */
class Connection {
  readonly #socket: Socket;
  readonly #waiting: { resolve(result: unknown): void; reject(error: Error): void }[] = [];

  constructor(path: string) {
    this.#socket = connect(path);
    createInterface(this.#socket).on("line", (line) => {
      const { result, error } = JSON.parse(line) as Answer;
      const { resolve, reject } = this.#waiting.shift()!;
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    });
    this.#socket.on("close", () => {
      for (const { reject } of this.#waiting) reject(new Error("the Python process has ended"));
    });
  }

  ask(question: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${JSON.stringify(question)}\n`);
    });
  }
}
