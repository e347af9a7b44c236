import { peakMemoryBytes } from "#platform";
import { NumericError } from "../base/errors.js";
import type { BaseIdentity } from "../loading/base-identity.js";
import { finishedModel } from "../loading/model-source.js";
import type { MasterWeights } from "../relora/master-weights.js";
import { isMergedWhole, planStep } from "../relora/plan.js";
import { type Ending, publishedStep } from "../runs/early-stop.js";
import type { EndRecord } from "../runs/metrics.js";
import type { Progress } from "../runs/progress.js";
import { publishAdapter, publishCheckpoint, publishModel } from "../runs/publishing.js";
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
  /** The last evaluation's loss in nats, or null where none was made. */
  readonly heldOutLoss: number | null;
  /** The last checkpoint, or null where none was written. */
  readonly checkpoint: string | null;
  /** The finished Hugging Face folder, or null unless the outcome is `done` or `early`. */
  readonly modelFolder: string | null;
  /** The step that the finished model is of. */
  readonly modelStep: number | null;
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
  const { path } = output.folder;
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
    const folder = await publishCheckpoint(path, published, companions, waitForSpace);
    return endRun(ended, ending, { step: published, folder });
  }
  const finished = finishedModel(model, source.config, (layer) => master.weight(layer));
  const folder = await publishModel(path, finished, companions, waitForSpace);
  await publishPresentAdapter(ended);
  return endRun(ended, ending, { step, folder });
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
  const { step, deltas } = progress;
  const plan = planStep(step, settings);
  if (plan.phase !== "adapter") return;
  const adapter = { model, settings, state: { base, deltas }, merged: isMergedWhole(plan) };
  await publishAdapter(output.folder.path, adapter, output.waitForSpace.bind(output));
}

/** Writes the last record and the report. @param model the published model, and the step that it is of. */
async function endRun(
  { output, progress, checkpoint }: EndedRun,
  outcome: EndRecord["outcome"],
  model: { readonly step: number; readonly folder: string } | null = null,
): Promise<TrainResult> {
  const { step, tokens, skipped, seconds, savingSeconds, evaluated } = progress;
  const { folder } = output;
  const times = { seconds, savingSeconds, peakMemoryBytes: peakMemoryBytes() };
  const modelStep = model?.step ?? null;
  await output.record({ kind: "end", step, outcome, modelStep, tokens, skipped, ...times });
  await folder.writeReport();
  return {
    outcome: outcome === "diverged" ? "stopped" : outcome,
    runFolder: folder.path,
    step,
    tokens,
    heldOutLoss: evaluated?.loss ?? null,
    checkpoint,
    modelFolder: model?.folder ?? null,
    modelStep,
  };
}
