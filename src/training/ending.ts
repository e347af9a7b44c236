import { availableMemoryBytes, peakMemoryBytes } from "#platform";
import { NumericError } from "../base/errors.js";
import { formatBytes } from "../base/numbers.js";
import type { BaseIdentity } from "../loading/base-identity.js";
import { folderSource } from "../loading/folder-source.js";
import { fillModel, finishedModel, modelBytes } from "../loading/model-source.js";
import { HeldOutLoss } from "../programs/held-out.js";
import type { MasterWeights } from "../relora/master-weights.js";
import { isMergedWhole, planStep } from "../relora/plan.js";
import { type Ending, publishedStep } from "../runs/early-stop.js";
import type { EndRecord, PublishedLosses } from "../runs/metrics.js";
import type { Progress } from "../runs/progress.js";
import { publishAdapter, publishCheckpoint, publishModel } from "../runs/publishing.js";
import { writeRunCards } from "../runs/run-card.js";
import { logsLastCycle } from "../runs/run-state.js";
import { runWarnings, type Warning } from "../runs/warnings.js";
import type { PreparedRun } from "./prepare.js";
import type { RunOutput } from "./run-output.js";

/** The end of a run that did not fail. */
export interface TrainResult {
  /**
   * `early`: before its last step, because the held-out loss fell no more; `planned`: a dry run, of which the start
   * record is the whole outcome and nothing was written.
   */
  readonly outcome: "done" | "early" | "stopped" | "planned";
  readonly runFolder: string;
  /** Completed optimizer steps. */
  readonly step: number;
  /** Tokens trained on. */
  readonly tokens: number;
  /** The last evaluation's loss in nats, with the trained weights, or null where none was made. */
  readonly heldOutLoss: number | null;
  /** Held-out losses of the finished model, or null unless the outcome is `done` or `early`. */
  readonly losses: PublishedLosses | null;
  /** The last checkpoint, or null where none was written. */
  readonly checkpoint: string | null;
  /** The finished Hugging Face folder, or null unless the outcome is `done` or `early`. */
  readonly modelFolder: string | null;
  /** The step that the finished model is of. */
  readonly modelStep: number | null;
  /** What the numbers of the run say that its owner should know. */
  readonly warnings: readonly Warning[];
}

/** A run that trains no further. */
export interface EndedRun {
  readonly run: PreparedRun;
  readonly output: RunOutput;
  readonly progress: Progress;
  readonly master: MasterWeights;
  readonly base: BaseIdentity;
  readonly checkpoint: string | null;
}

/** Publishes the model and the adapter of a run that has come to its end. */
export async function finishRun(ended: EndedRun, ending: Ending): Promise<TrainResult> {
  const { run, output, progress, master } = ended;
  const { model, source, companions, settings } = run;
  const { patience, maxSteps } = settings;
  const { step, toBeat } = progress;
  const waitForSpace = output.waitForSpace.bind(output);
  if (ending === "early") {
    output.hooks.onNotice(
      `None of the last ${patience} evaluations was below ${toBeat?.toFixed(4)}: ` +
        `the run ends after step ${step} of ${maxSteps}.`,
    );
  }
  const published = publishedStep(step, progress, settings);
  // Only after the last step of the plan is all that is in memory merged.
  if (ending !== "done" || published !== step) {
    const folder = await output.folder.write((path) => publishCheckpoint(path, published, companions, waitForSpace));
    return endRun(ended, ending, { step: published, folder, losses: await lossesOf(ended, published, folder) });
  }
  const frozenWeight = (layer: string): Promise<Float32Array> => master.weight(layer);
  const keepsLastCycle = logsLastCycle(run.quantizer, progress);
  const finished = finishedModel(model, source.config, { frozenWeight, keepsLastCycle });
  const folder = await output.folder.write((path) => publishModel(path, finished, companions, waitForSpace));
  await publishPresentAdapter(ended);
  return endRun(ended, ending, { step, folder, losses: await lossesOf(ended, step, folder) });
}

/** The model that a run publishes. */
interface Published {
  readonly step: number;
  readonly folder: string;
  readonly losses: PublishedLosses;
}

/** @param step that of the model in the folder. */
async function lossesOf(ended: EndedRun, step: number, folder: string): Promise<PublishedLosses> {
  const { run, progress, output } = ended;
  const { loss = null } = (step === progress.step ? progress.evaluated : progress.best) ?? {};
  if (run.quantizer === null) return { trained: loss, exact: loss };
  // Such a run was evaluated last when its codes had taken up the last cycle.
  const isRounded = progress.lastMerge === undefined && step === run.settings.maxSteps;
  return { trained: isRounded ? null : loss, exact: await output.folder.write(() => exactLoss(ended, folder)) };
}

/** The held-out loss of the model in the folder; null where the memory does not suffice for its float32 weights. */
async function exactLoss({ run, output }: EndedRun, folder: string): Promise<number | null> {
  const { settings, threads, heldOut, shapes } = run;
  const { device, deterministic, lossChunk } = settings;
  const source = await folderSource(folder);
  const [needed, available] = [modelBytes(source), availableMemoryBytes()];
  if (needed > available && !settings.force) {
    output.hooks.onNotice(
      `The loss of the finished model is not measured: its weights take ${formatBytes(needed)} in float32, and ` +
        `${formatBytes(available)} are at hand; highrank eval ${output.folder.path} does it elsewhere.`,
    );
    return null;
  }
  const model = source.build();
  await fillModel(model, source);
  const program = await HeldOutLoss.compile(model, { ...shapes.heldOut, lossChunk, device, threads, deterministic });
  try {
    return (await program.run(heldOut)).loss;
  } finally {
    await program.release();
  }
}

/** Publishes the adapter of a run that was asked to stop. */
export async function stopRun(ended: EndedRun): Promise<TrainResult> {
  await publishPresentAdapter(ended);
  return endRun(ended, "stopped");
}

/** Ends a run whose numbers are no good. @throws NumericError with the message. */
export async function failRun(ended: EndedRun, message: string): Promise<never> {
  await endRun(ended, "diverged");
  throw new NumericError(message);
}

async function publishPresentAdapter({ run, output, progress, base }: EndedRun): Promise<void> {
  const { model, settings } = run;
  const { step, deltas, restarts } = progress;
  const plan = planStep(step, { ...settings, restarts });
  if (plan.phase !== "adapter") return;
  const adapter = { model, settings, state: { base, deltas }, merged: isMergedWhole(plan) };
  const waitForSpace = output.waitForSpace.bind(output);
  await output.folder.write((path) => publishAdapter(path, adapter, waitForSpace));
}

/** Writes the last record and the report. */
async function endRun(
  { run, output, progress, master, checkpoint }: EndedRun,
  outcome: EndRecord["outcome"],
  model: Published | null = null,
): Promise<TrainResult> {
  const { step, tokens, skipped, seconds, savingSeconds, evaluated } = progress;
  const { folder } = output;
  const times = { seconds, savingSeconds, peakMemoryBytes: peakMemoryBytes() };
  const { size, sentBytes } = run.ranks;
  const sent = size > 1 ? { sentBytes } : {};
  const modelStep = model?.step ?? null;
  const losses = run.quantizer !== null && model !== null ? { losses: model.losses } : {};
  const end: EndRecord = { kind: "end", step, outcome, modelStep, ...losses, tokens, skipped, ...times, ...sent };
  // Before a record says that nothing is left to do.
  await master.release();
  if (outcome !== "diverged") {
    const facts = { settings: run.settings, records: [...folder.records, end] };
    await folder.write((path) => writeRunCards({ folder: path, ...facts }, { model: model !== null }));
  }
  await output.record(end);
  await folder.writeReport();
  return {
    outcome: outcome === "diverged" ? "stopped" : outcome,
    runFolder: folder.path,
    step,
    tokens,
    heldOutLoss: evaluated?.loss ?? null,
    losses: model?.losses ?? null,
    checkpoint,
    modelFolder: model?.folder ?? null,
    modelStep,
    warnings: runWarnings(folder.records),
  };
}
