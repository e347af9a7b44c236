import { LIST, requireArguments } from "../base/arguments.js";
import { formatChange, formatCount, formatLoss, formatRate, largest, sum } from "../base/numbers.js";
import { type LossSpike, lossSpikes } from "./loss-spikes.js";
import type { EvalRecord, MergeRecord, MetricsRecord, StartRecord, StepRecord } from "./metrics.js";

export type WarningKind =
  | "samples-cut"
  | "data-in-a-step"
  | "rate-too-high"
  | "not-learning"
  | "held-out-worse"
  | "few-held-out"
  | "spikes"
  | "adapter-unmoved";

/** What the numbers of a run say that its owner should know. */
export interface Warning {
  readonly kind: WarningKind;
  /** What was seen, in numbers, and what to try. */
  readonly text: string;
}

/** The records of a run, by kind. */
interface Course {
  readonly start: StartRecord | undefined;
  readonly steps: readonly StepRecord[];
  readonly evals: readonly EvalRecord[];
  readonly merges: readonly MergeRecord[];
  /** Steps that change the model or its optimizer otherwise than by training. */
  readonly events: readonly number[];
  /** Share of the planned steps that is done; 1 where the run has ended. */
  readonly share: number;
}

/** One rule: a warning's text, or null where there is nothing to say. */
type Rule = (course: Course) => string | null;

const RULES: Readonly<Record<WarningKind, Rule>> = {
  "samples-cut": cutWarning,
  "data-in-a-step": repeatWarning,
  "rate-too-high": rateWarning,
  "not-learning": stillWarning,
  "held-out-worse": worseWarning,
  "few-held-out": fewWarning,
  spikes: spikesWarning,
  "adapter-unmoved": unmovedWarning,
};

/** The warnings that the records of a run so far call for, at most one of each kind. */
export function runWarnings(records: readonly MetricsRecord[]): readonly Warning[] {
  requireArguments("runWarnings", { records: LIST }, { records });
  const course = courseOf(records);
  return Object.entries(RULES).flatMap(([kind, rule]) => {
    const text = rule(course);
    return text === null ? [] : [{ kind: kind as WarningKind, text }];
  });
}

function courseOf(records: readonly MetricsRecord[]): Course {
  const start = records.findLast((record) => record.kind === "start");
  const steps = records.filter((record) => record.kind === "step");
  const hasEnded = records.at(-1)?.kind === "end";
  return {
    start,
    steps,
    evals: records.filter((record) => record.kind === "eval" && Number.isFinite(record.loss)) as EvalRecord[],
    merges: records.filter((record) => record.kind === "merge"),
    events: eventsOf(records),
    share: hasEnded ? 1 : (steps.at(-1)?.step ?? 0) / (start?.maxSteps ?? Number.POSITIVE_INFINITY),
  };
}

function eventsOf(records: readonly MetricsRecord[]): number[] {
  let phase: string | undefined;
  return records.flatMap((record) => {
    if (record.kind !== "step") return record.kind === "merge" || record.kind === "reset" ? [record.step] : [];
    const isSwitch = phase !== undefined && record.phase !== phase;
    phase = record.phase;
    return isSwitch ? [record.step] : [];
  });
}

function cutWarning({ start }: Course): string | null {
  const { cut, rowLength } = start?.outline ?? {};
  if (cut === undefined || cut.samples === 0) return null;
  return (
    `${cut.samples} of ${cut.of} samples are cut to ${rowLength} tokens, which leaves out ` +
    `${formatCount(cut.tokens)} of their tokens. Raise the sequence length, or shorten them.`
  );
}

function repeatWarning({ start }: Course): string | null {
  const { rowsPerEpoch, totalBatchSize } = start?.outline ?? {};
  if (rowsPerEpoch === undefined || totalBatchSize === undefined || rowsPerEpoch >= totalBatchSize) return null;
  const times = Number((totalBatchSize / rowsPerEpoch).toPrecision(3));
  return (
    `A step of ${totalBatchSize} rows takes the data ${times} times, as they are ${rowsPerEpoch} rows. ` +
    "Lower the batch size, or train on more data."
  );
}

/** Floor of a loss, in nats, below which a factor is a difference that means nothing. */
const LEAST_LOSS = 1;
/** Steps whose mean stands for the loss at a time. */
const WINDOW = 10;
/** Mean loss of the last steps, as a multiple of the first, above which a run has unlearned. */
const UNLEARNED = 1.2;
/** The same of the lowest mean before, for a run that learned first. */
const RISEN = 1.3;
const RISEN_NATS = 0.5;

function rateWarning(course: Course): string | null {
  const { steps, start } = course;
  const losses = steps.map(({ loss }) => loss);
  const last = losses.slice(1).slice(-WINDOW);
  // Of a short run all but the first step, at its end.
  if (last.length === 0 || (course.share < 1 && last.length < Math.min(WINDOW, (start?.maxSteps ?? WINDOW) - 1))) {
    return null;
  }
  const [first, end] = [losses[0]!, mean(last)];
  if (!(end <= UNLEARNED * Math.max(first, LEAST_LOSS))) {
    return (
      `Training made the model worse: its loss rose from ${formatLoss(first)} to ${formatLoss(end)}. ` +
      `The learning rate of ${rateOf(inForce(course))} is too high; train again with a tenth of it.`
    );
  }
  const lowest = lowestMean(steps.slice(0, -2 * WINDOW));
  if (lowest === null) return null;
  const limit = Math.max(RISEN * lowest.loss, lowest.loss + RISEN_NATS);
  // For twice the window, so that no spike or restart is taken for it.
  if (!steps.slice(-2 * WINDOW).every(({ loss }) => loss > limit)) return null;
  return (
    `The training loss rises: its mean was ${formatLoss(lowest.loss)} up to step ${lowest.step} and is ` +
    `${formatLoss(end)} now. The learning rate of ${rateOf(inForce(course))} is too high; halve it, or ` +
    "lengthen the warm-up."
  );
}

/** The lowest mean of a window, and the last step of that. */
function lowestMean(steps: readonly StepRecord[]): { readonly loss: number; readonly step: number } | null {
  let [lowest, total] = [null as { loss: number; step: number } | null, 0];
  for (const [i, { loss, step }] of steps.entries()) {
    total += loss - (i >= WINDOW ? steps[i - WINDOW]!.loss : 0);
    if (i < WINDOW - 1 || (lowest !== null && lowest.loss <= total / WINDOW)) continue;
    lowest = { loss: total / WINDOW, step };
  }
  return lowest;
}

/** The mean loss of the last steps as a share of that of the first ones, from which on nothing was learned. */
const NOT_LEARNED = 0.99;
const FIRST_STEPS = 5;
/** Change of the held-out loss, as a share of it, that says more than the training loss does. */
const LEARNED_SHARE = 0.01;

function stillWarning(course: Course): string | null {
  const { steps, evals, share } = course;
  if (steps.length < 2 * WINDOW || share < 0.5 || rateWarning(course) !== null) return null;
  const losses = steps.map(({ loss }) => loss);
  const [first, end] = [mean(losses.slice(0, FIRST_STEPS)), mean(losses.slice(-WINDOW))];
  const [before, after] = [evals[0], evals.at(-1)];
  const fell = before !== undefined && after !== undefined && after.loss < (1 - LEARNED_SHARE) * before.loss;
  if (fell || end <= NOT_LEARNED * first || first < LEAST_LOSS) return null;
  return (
    `Training has not lowered the loss: it was ${formatLoss(first)} in the first steps and is ${formatLoss(end)} in ` +
    `the last ones. The learning rate of ${rateOf(steps)} is too high for this model, or too low.`
  );
}

/** Rise of the held-out loss that is no matter of rounding: in nats, and as a share of it. */
const WORSE = { nats: 0.01, share: 0.005 };

function worseWarning({ evals, steps, share }: Course): string | null {
  const [first, last] = [evals[0], evals.at(-1)];
  // A warm-up may take the loss up for a while.
  if (first === undefined || last === undefined || first.step !== 0 || last === first || share < 0.5) return null;
  if (last.loss - first.loss <= Math.max(WORSE.nats, WORSE.share * first.loss)) return null;
  const best = evals.reduce((lowest, each) => (each.loss < lowest.loss ? each : lowest));
  const between = best === first ? "" : `; the lowest was ${formatLoss(best.loss)}, after step ${best.step}`;
  const seen =
    `The held-out loss is worse than before the training: ${formatLoss(first.loss)} before, ` +
    `${formatLoss(last.loss)} after step ${last.step}${between}. `;
  const isByHeart = mean(steps.slice(-WINDOW).map(({ loss }) => loss)) < first.loss;
  if (!isByHeart) return `${seen}Train with a lower learning rate.`;
  const keep = best === first ? "" : ", or publish the best checkpoint instead of the last (load best)";
  return `${seen}The model learns the training data by heart: take fewer epochs, a lower learning rate, more data${keep}.`;
}

function fewWarning({ evals, start, share }: Course): string | null {
  const [first, last] = [evals[0], evals.at(-1)];
  if (first === undefined || last === undefined || last === first || share < 0.5) return null;
  const { heldOutSamples = null, evaluated = 1 } = start?.outline ?? {};
  const way =
    evaluated < 1
      ? "Evaluate on more tokens."
      : "Hold out more data (validation fraction, or data of their own for validation).";
  if (last.standardError === undefined) {
    return heldOutSamples === 1 ? `The held-out loss is that of a single sample, which shows little. ${way}` : null;
  }
  const gain = first.loss - last.loss;
  if (gain <= 0 || last.standardError <= gain) return null;
  const counted =
    heldOutSamples === null ? "the tokens" : `${Math.max(1, Math.round(heldOutSamples * evaluated))} samples`;
  return (
    `The held-out loss changed by ${formatChange(-gain)}, from ${formatLoss(first.loss)} to ${formatLoss(last.loss)}, ` +
    `which is less than its standard error on ${counted}, ${formatLoss(last.standardError)}. ${way}`
  );
}

function spikesWarning({ steps, events }: Course): string | null {
  const spikes = lossSpikes(steps, events);
  const height = ({ loss, before }: LossSpike): number => loss / before;
  const highest = spikes.reduce((most, each) => (height(each) > height(most) ? each : most), spikes[0]!);
  if (spikes.length === 0 || (spikes.length === 1 && height(highest) < 2)) return null;
  const count = spikes.length === 1 ? "A spike" : `${spikes.length} spikes`;
  return (
    `${count} of the training loss, the largest at step ${highest.step}: ${formatLoss(highest.loss)}, where the steps ` +
    `before had ${formatLoss(highest.before)}. Clip gradients at a smaller norm, take a lower ` +
    `learning rate, or look for samples unlike the others.`
  );
}

/** Frobenius norm of all merged updates below which nothing has moved. */
const UNMOVED = 1e-6;
const FEW_STEPS = 3;

function unmovedWarning({ steps, merges }: Course): string | null {
  const adapted = steps.filter(({ phase }) => phase === "adapter");
  const norms = merges.map(({ deltaNorm }) => deltaNorm);
  if (adapted.length >= FEW_STEPS && adapted.every(({ gradNorm }) => gradNorm === 0)) {
    return (
      `The adapter has not moved: its gradient was 0 in all ${adapted.length} steps. Look at what is scored ` +
      "(highrank data FILE) and at the target modules."
    );
  }
  if (norms.length === 0 || largest(norms) >= UNMOVED) return null;
  return (
    `The adapter has not moved: the norm of what was merged is ${largest(norms).toExponential(1)}. The learning rate ` +
    `of ${rateOf(steps)} is too low.`
  );
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** The steps since the run began or was resumed, which may have changed the rate. */
function inForce({ steps, start }: Course): readonly StepRecord[] {
  const own = steps.filter(({ step }) => step > (start?.step ?? 0));
  return own.length > 0 ? own : steps;
}

/** The peak learning rate, in words. */
function rateOf(steps: readonly StepRecord[]): string {
  const last = steps.at(-1)!.phase;
  return formatRate(largest(steps.filter(({ phase }) => phase === last).map(({ learningRate }) => learningRate)));
}
