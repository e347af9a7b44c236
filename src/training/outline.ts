import { linearLayers, mergeableLayers } from "../adapters/inject.js";
import { formatRate, formatShare } from "../base/numbers.js";
import { jobOf } from "../config/jobs.js";
import type { Settings } from "../config/settings.js";
import { planRun } from "../relora/plan.js";
import type { RunOutline } from "../runs/metrics.js";
import type { PreparedRun } from "./prepare.js";
import type { RunShape } from "./run-shape.js";

/** Held-out samples below which the loss on them is rough. */
const FEW_SAMPLES = 30;

/** The course of a run in words and numbers. @param shape its last phase. */
export function outlineOf(
  { settings, cursor, isStream, padding, trainCounts, heldOutData, unreachable, example }: PreparedRun,
  shape: RunShape,
): RunOutline {
  const { preset, epochs, maxSteps, batchSize, totalBatchSize, sequenceLength } = settings;
  const plan = planRun(settings);
  const stepsPerEpoch = cursor.rowsPerEpoch / totalBatchSize;
  const { counts, chosen, evaluationRows, rows } = heldOutData;
  return {
    job: jobOf(settings),
    ...(preset !== "none" && { preset }),
    method: methodWords(settings, shape),
    rate: rateWords(settings),
    batchSize,
    totalBatchSize,
    maxSteps,
    epochs: Math.min(epochs ?? Number.POSITIVE_INFINITY, maxSteps / stepsPerEpoch),
    stepsPerEpoch,
    rowsPerEpoch: cursor.rowsPerEpoch,
    rowLength: sequenceLength,
    padding,
    ...(!isStream && { cut: { ...trainCounts.truncation, of: trainCounts.samples } }),
    heldOutSamples: isStream ? null : counts.samples,
    heldOutTokens: counts.tokens,
    heldOut: chosenWords(chosen, settings),
    evaluated: evaluationRows < rows ? evaluationRows / rows : 1,
    evaluations: evaluationWords(settings),
    unreachableLoss: unreachable,
    ...example,
    hasCycles: plan.restartsWhenFull || plan.phases.length > 1 || plan.merges.length > 1,
    isRough: !isStream && counts.samples < FEW_SAMPLES,
  };
}

function methodWords(settings: Settings, { model }: RunShape): string {
  const { method, rank, alpha, adapterKind, adapterFrom, rslora, dropout, trainModules, bias } = settings;
  if (method === "full") return "every weight";
  const adapted = mergeableLayers(model).size;
  const all = adapted + linearLayers(model).size;
  const names = new Set([...mergeableLayers(model).keys()].map((name) => name.split(".").at(-1)!));
  const where =
    adapted === all ? `all ${all} linear layers` : `${adapted} of ${all} linear layers (${[...names].join(", ")})`;
  const { merges, restartsWhenFull } = planRun(settings);
  const restarts = restartsWhenFull ? "when full" : `${merges.length} merges in all`;
  const parts = [
    `${ADAPTERS[adapterKind] ?? adapterKind} of rank ${rank}, alpha ${alpha}${rslora ? ", rsLoRA" : ""} on ${where}`,
    ...(dropout > 0 ? [`dropout ${dropout}`] : []),
    ...(method === "relora" ? [`merged and restarted, ${restarts}`] : []),
    ...(adapterFrom === null ? [] : [`going on from ${adapterFrom}`]),
    ...(trainModules.length === 0 ? [] : [`beside it ${trainModules.join(", ")} in full`]),
    ...(bias === "none" ? [] : [`biases: ${bias}`]),
  ];
  return parts.join("; ");
}

const ADAPTERS: Readonly<Record<string, string>> = { lora: "LoRA", dora: "DoRA", core: "LoRA-XS cores" };

function rateWords({ schedule, minLrRatio, warmupSteps, weightDecay, ...rest }: Settings): string {
  const least = formatShare(minLrRatio);
  const courses: Readonly<Record<Settings["schedule"], string>> = {
    constant: "constant",
    linear: "falling linearly to 0",
    cosine: `falling along a cosine to ${least}`,
    cosine_restarts: `falling along a cosine to ${least} in each cycle of ${rest.cycleLength} steps`,
  };
  const warmup = warmupSteps === 0 ? "" : `, after ${warmupSteps} ${warmupSteps === 1 ? "step" : "steps"} of warm-up`;
  const decay = weightDecay === 0 ? "" : `; weight decay ${weightDecay}`;
  return `${ratesOf(rest)}, ${courses[schedule]}${warmup}${decay}`;
}

/** The peak rates of all that is trained. */
function ratesOf(
  settings: Pick<
    Settings,
    "method" | "lr" | "adapterLr" | "loraPlusRatio" | "warmStartSteps" | "trainModules" | "bias"
  >,
): string {
  const { method, lr, adapterLr, loraPlusRatio, warmStartSteps, trainModules, bias } = settings;
  if (method === "full") return formatRate(lr);
  const isBeside = (trainModules.length > 0 || bias !== "none") && lr !== adapterLr;
  const outputs = loraPlusRatio === 1 ? "" : `, ${formatRate(adapterLr * loraPlusRatio)} of their B`;
  if (warmStartSteps > 0 || isBeside) return `${formatRate(lr)}, ${formatRate(adapterLr)} of the adapters${outputs}`;
  return `${formatRate(adapterLr)}${outputs}`;
}

function chosenWords(chosen: "files" | "named" | "share", settings: Settings): string {
  const { validData, validationFraction, seed } = settings;
  if (chosen === "named") return `of ${validData}`;
  return chosen === "files"
    ? "of the files for validation"
    : `drawn from the data (${formatShare(validationFraction)}, seed ${seed})`;
}

function evaluationWords({ evalEvery, evalMilestones, maxSteps }: Settings): string {
  if (evalEvery === null)
    return evalMilestones
      ? "evaluated at milestones and at the end"
      : "evaluated at the end only, with no loss to compare";
  return evalEvery >= maxSteps ? "evaluated at the end" : `evaluated every ${evalEvery} steps`;
}
