import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { Settings } from "../../src/config/settings.js";
import { animalText } from "../animal-text.js";
import { SMALL_RUN } from "../small-run.js";

/** A small run to be killed. */
export interface KillableRun {
  readonly name: string;
  readonly settings: Partial<Settings>;
}

/** A process may resume with another number of threads. */
const SMALL: Partial<Settings> = { ...SMALL_RUN, saveEvery: 2, deterministic: true };

const RUNS: Readonly<Record<string, Partial<Settings>>> = {
  "relora, float32": {},
  "nf4, residual": { quantize: "nf4", mergePolicy: "residual" },
  full: { method: "full", evalEvery: 3, keepCheckpoints: 2 },
  "nf4 double quantized, delta-log": { quantize: "nf4", doubleQuant: true, mergePolicy: "delta-log", saveEvery: 3 },
  "lora, text of less than an epoch": { method: "lora", warmStartSteps: 0, data: "short.txt", evalEvery: 2 },
  "int8, error-feedback": { quantize: "int8", mergePolicy: "error-feedback", saveEvery: 4, optimizerReset: "random" },
  "fp4, stochastic, no warm start": { quantize: "fp4", mergePolicy: "stochastic", warmStartSteps: 0, evalEvery: 2 },
  "lora on int8": { method: "lora", warmStartSteps: 2, quantize: "int8", saveEvery: 1, keepCheckpoints: null },
  "lora on questions and answers": { method: "lora", warmStartSteps: 0, data: "pairs.jsonl", evalEvery: 3 },
  "nf4, ended early, the best": { quantize: "nf4", evalEvery: 2, patience: 2, minImprovement: 5, loadBest: true },
};

/** The runs, with their data written into the folder. */
export async function killableRuns(folder: string): Promise<KillableRun[]> {
  const text = animalText();
  await writeFile(path.join(folder, "text.txt"), text);
  await writeFile(path.join(folder, "short.txt"), text.slice(0, 2600));
  const pairs = text.split(/\n+/).flatMap((line) => {
    const [first = "", ...rest] = line.split(" ");
    return rest.length === 0 ? [] : [JSON.stringify({ prompt: first, completion: ` ${rest.join(" ")}` })];
  });
  await writeFile(path.join(folder, "pairs.jsonl"), pairs.slice(0, 60).join("\n"));
  return Object.entries(RUNS).map(([name, { data = "text.txt", ...change }]) => ({
    name,
    settings: { ...SMALL, ...change, data: path.join(folder, data) },
  }));
}
