import path from "node:path";
import { HighrankError } from "../../src/base/errors.js";
import { Rng } from "../../src/tensor/random.js";
import type { AllocationGuard } from "./allocation-guard.js";
import { pick } from "./choice.js";
import type { FuzzTarget } from "./target.js";
import { bytesOf, readTree, type Tree, writeTree } from "./tree.js";
import { mutateTree } from "./tree-mutations.js";

/** What a parser may take for one case. */
export const LIMITS: Readonly<Record<"cpuSeconds" | "arrayBytes" | "arrayBytesPerByte" | "messageLength", number>> = {
  /** Of the processor, not of the clock: a busy machine slows no case down. */
  cpuSeconds: 5,
  /** Arrays asked for in all: so much, and so many times what the files hold. */
  arrayBytes: 2 ** 24,
  arrayBytesPerByte: 64,
  /** A message is to be read. */
  messageLength: 16_384,
};

/** How a case ended. */
export interface CaseResult {
  readonly seed: number;
  readonly outcome: "accepted" | "refused" | "finding";
  /** Of the error; of a finding, what is wrong. */
  readonly message: string;
  readonly cpuSeconds: number;
  readonly arrayBytes: number;
}

/** The samples of a target, and a place to write cases to. */
export class CaseRunner {
  readonly #target: FuzzTarget;
  readonly #samples: readonly Tree[];
  readonly #folder: string;
  readonly #guard: AllocationGuard;

  private constructor(target: FuzzTarget, samples: readonly Tree[], folder: string, guard: AllocationGuard) {
    this.#target = target;
    this.#samples = samples;
    this.#folder = folder;
    this.#guard = guard;
  }

  /** @param folder an empty one. */
  static async prepare(target: FuzzTarget, folder: string, guard: AllocationGuard): Promise<CaseRunner> {
    const samples = path.join(folder, "samples");
    await target.writeSamples(samples);
    const trees = new Map<string, Tree>();
    for (const [name, entry] of await readTree(samples)) {
      const [sample, ...rest] = name.split("/") as [string, ...string[]];
      const tree = trees.get(sample) ?? new Map();
      if (rest.length > 0) tree.set(rest.join("/"), entry);
      trees.set(sample, tree);
    }
    // What links lead to that leave the folder: valid files, so that only a check can refuse them.
    await writeTree(path.join(folder, "outside"), trees.values().next().value!);
    return new CaseRunner(target, [...trees.values()], path.join(folder, "case"), guard);
  }

  /** The samples as they are. @throws what the target throws. */
  async runSamples(): Promise<void> {
    this.#guard.reset(Number.POSITIVE_INFINITY);
    for (const sample of this.#samples) {
      await writeTree(this.#folder, sample);
      await this.#target.run(this.#folder);
    }
  }

  /** The case of this seed, the same wherever it runs. */
  async run(seed: number): Promise<CaseResult> {
    const rng = new Rng(seed, this.#target.name);
    const tree = mutateTree(rng, pick(rng, this.#samples));
    this.#target.forge?.(rng, tree);
    await writeTree(this.#folder, tree);
    this.#guard.reset(LIMITS.arrayBytes + LIMITS.arrayBytesPerByte * bytesOf(tree));
    const before = process.cpuUsage();
    let error: unknown;
    try {
      await this.#target.run(this.#folder);
    } catch (thrown) {
      error = thrown ?? new Error(`threw ${thrown}`);
    }
    const { user, system } = process.cpuUsage(before);
    const figures = { seed, cpuSeconds: (user + system) / 1e6, arrayBytes: this.#guard.bytes };
    const isOverLimit = this.#guard.bytes > LIMITS.arrayBytes + LIMITS.arrayBytesPerByte * bytesOf(tree);
    this.#guard.reset(Number.POSITIVE_INFINITY);
    if (isOverLimit)
      return { ...figures, outcome: "finding", message: `asked for ${figures.arrayBytes} bytes of arrays` };
    if (figures.cpuSeconds > LIMITS.cpuSeconds) {
      return { ...figures, outcome: "finding", message: `took ${figures.cpuSeconds.toFixed(1)} s of the processor` };
    }
    if (error === undefined) return { ...figures, outcome: "accepted", message: "" };
    if (!(error instanceof HighrankError)) {
      return { ...figures, outcome: "finding", message: stackOf(error) };
    }
    const { message } = error;
    if (message.length > LIMITS.messageLength) {
      return {
        ...figures,
        outcome: "finding",
        message: `a message of ${message.length} characters: ${message.slice(0, 200)}`,
      };
    }
    return { ...figures, outcome: "refused", message };
  }
}

function stackOf(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.split("\n").slice(0, 6).join("\n").slice(0, 1500);
}
