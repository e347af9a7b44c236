import { formatRate, sum } from "../base/numbers.js";
import type { Settings } from "../config/settings.js";
import type { MetricsRecord } from "./metrics.js";
import type { LossAtStep } from "./run-state.js";

/** Floor of the lowest loss, in nats: so far down, a factor is a difference that means nothing. */
const LEAST_LOSS = 1;

/** The limits that an evaluation is held to. */
export interface LossLimits {
  /** Lowest held-out loss before, in nats; null before the first evaluation. */
  readonly lowest: number | null;
  /** The multiple of the lowest loss that is too much; null for no limit. */
  readonly factor: number | null;
}

/**
 * True when training undoes what was learned: the held-out loss is above `factor` times its lowest, and the training
 * loss above that lowest too, which tells it from overfitting, where the training loss falls. A loss that is not a
 * number is above everything.
 */
export function isDiverging(heldOut: number, training: number, { lowest, factor }: LossLimits): boolean {
  if (lowest === null || factor === null) return false;
  return !(heldOut <= factor * Math.max(lowest, LEAST_LOSS)) && !(training <= lowest);
}

/**
 * Mean training loss of the last steps, as a multiple of the first, above which a run has unlearned, or not learned.
 */
const UNLEARNED = 1.2;
const NOT_LEARNED = 0.99;
const LAST_STEPS = 10;

/**
 * A warning about a run that came to its end with a training loss far above that of its start, or no lower after more
 * than a few steps; null for any other.
 * @param records of the whole run.
 */
export function unlearningNotice(
  records: readonly MetricsRecord[],
  { method, lr, adapterLr }: Pick<Settings, "method" | "lr" | "adapterLr">,
): string | null {
  const losses = records.flatMap((record) => (record.kind === "step" ? [record.loss] : []));
  const last = losses.slice(1).slice(-LAST_STEPS);
  if (last.length === 0) return null;
  const [first, end] = [losses[0]!, sum(last) / last.length];
  const rate = formatRate(method === "full" ? lr : adapterLr);
  const [before, after] = [first.toFixed(4), end.toFixed(4)];
  if (!(end <= UNLEARNED * Math.max(first, LEAST_LOSS))) {
    return (
      `Training made the model worse: its loss rose from ${before} to ${after}. ` +
      `The learning rate of ${rate} is too high; train again with a tenth of it.`
    );
  }
  if (end <= NOT_LEARNED * first || losses.length < 2 * LAST_STEPS || first < LEAST_LOSS) return null;
  return (
    `Training has not lowered the loss: it was ${before} in the first step and is ${after} in the last ones. ` +
    `The learning rate of ${rate} is too high for this model, or too low.`
  );
}

/** A run whose numbers say that it should not go on. */
export interface DivergedRun {
  readonly folder: string;
  readonly step: number;
  readonly reason: string;
  readonly settings: GentlerSettings;
  /** The best checkpoint, where the last one is too late to go on from. */
  readonly best: LossAtStep | null;
  /** The folder of the last checkpoint; null where there is none. */
  readonly last: string | null;
}

/** The reason, and the checkpoint and the command to go on with. */
export function divergenceMessage({ folder, step, reason, settings, best, last }: DivergedRun): string {
  const from =
    best !== null
      ? `the best checkpoint is that of step ${best.step}, with ${best.loss}; go on from it`
      : last !== null
        ? `${last} is the last good state; go on from it`
        : "no checkpoint was saved before; begin anew";
  const command = gentlerResume(folder, best === null ? "last" : "best", settings);
  return `training diverged at step ${step}: ${reason}; ${from} with a lower lr: ${command}`;
}

type GentlerSettings = Pick<Settings, "method" | "lr" | "adapterLr" | "clipGradNorm">;

/** The command that goes on with a run that diverged, gentler. */
export function gentlerResume(
  runFolder: string,
  checkpoint: "last" | "best",
  { method, lr, adapterLr, clipGradNorm }: GentlerSettings,
): string {
  const half = (rate: number): number => Number((rate / 2).toPrecision(3));
  return [
    `highrank resume ${runFolder}`,
    ...(checkpoint === "last" ? [] : [`--checkpoint ${checkpoint}`]),
    `--lr ${half(lr)}`,
    ...(method === "full" ? [] : [`--adapter-lr ${half(adapterLr)}`]),
    ...(clipGradNorm === null ? ["--clip-grad-norm 1"] : []),
  ].join(" ");
}
