import { availableMemoryBytes, collectGarbage, peakMemoryBytes, residentMemoryBytes } from "#platform";
import type { Settings } from "../config/settings.js";
import { describeQuantizer } from "../quant/quantizer.js";
import type { TrainingOptions, TrainResult } from "./contracts.js";
import { estimateMemory, type HeldMemory } from "./memory.js";
import { requireMemory } from "./memory-limit.js";
import type { StartRecord } from "./metrics.js";
import { formatCount } from "./number-format.js";
import { type PreparedRun, prepareRun } from "./prepare.js";
import { describePlan, planRun } from "./relora.js";
import { chooseRunFolder, RunFolder } from "./run-folder.js";
import { runShapes } from "./run-shape.js";
import { Trainer } from "./trainer.js";

/** Options of {@link train}. */
export interface TrainOptions extends Partial<TrainingOptions> {
  /** Asked after each step; true saves a checkpoint and ends the run. */
  readonly stopRequested?: () => boolean;
  /** What the process may hold in all, in bytes; by default what it holds and what can still be taken. */
  readonly availableMemoryBytes?: number;
}

/**
 * Trains in this thread, which is blocked while a step computes. The run folder is made only when data, model, settings
 * and memory have been found to fit. @throws ConfigError, DataError, CheckpointError, DeviceError, or NumericError on divergence.
 */
export async function train(settings: Settings, options: TrainOptions = {}): Promise<TrainResult> {
  const { onRecord = () => {}, stopRequested = () => false } = options;
  const atStart = residentMemoryBytes();
  const available = options.availableMemoryBytes ?? atStart + availableMemoryBytes();
  const path = await chooseRunFolder(settings);
  const run = await prepareRun(settings);
  // Training a tokenizer leaves much behind.
  collectGarbage();
  const held = { atStart, loaded: residentMemoryBytes(), peak: peakMemoryBytes() };
  const start = describeStart(settings, run, path, { held, available });
  if (settings.dryRun) {
    onRecord(start);
    return { ...NOTHING_DONE, runFolder: path };
  }
  requireMemory(start.memory, available, settings);
  return new Trainer(settings, run, new RunFolder(path, settings), { onRecord, stopRequested }).run(start);
}

const NOTHING_DONE = {
  outcome: "planned",
  step: 0,
  tokens: 0,
  heldOutLoss: null,
  checkpoint: null,
  modelFolder: null,
} as const;

function describeStart(
  settings: Settings,
  run: PreparedRun,
  path: string,
  { held, available }: { held: HeldMemory; available: number },
): StartRecord {
  const { source, quantizer, trainTokens, threads } = run;
  const phases = runShapes(source.build, settings, quantizer);
  const { parameters, trainableParameters } = phases.at(-1)!;
  return {
    kind: "start",
    step: 0,
    model: settings.model,
    parameters,
    trainableParameters,
    quantizer: quantizer && describeQuantizer(quantizer),
    memory: estimateMemory(phases, settings, held),
    availableMemoryBytes: available,
    device: `${settings.device}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    data: `${settings.data}, ${formatCount(trainTokens)} tokens`,
    maxSteps: settings.maxSteps,
    plan: describePlan(planRun(settings)),
    runFolder: path,
  };
}
