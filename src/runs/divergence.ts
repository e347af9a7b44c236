import type { Settings } from "../config/settings.js";
import { usesRate } from "../config/unused.js";
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

type GentlerSettings = Pick<
  Settings,
  "method" | "lr" | "adapterLr" | "clipGradNorm" | "warmStartSteps" | "trainModules" | "bias" | "adapterFrom"
>;

/** The command that goes on with a run that diverged, gentler. */
export function gentlerResume(runFolder: string, checkpoint: "last" | "best", settings: GentlerSettings): string {
  const { method, lr, adapterLr, clipGradNorm } = settings;
  const half = (rate: number): number => Number((rate / 2).toPrecision(3));
  return [
    `highrank resume ${runFolder}`,
    ...(checkpoint === "last" ? [] : [`--checkpoint ${checkpoint}`]),
    ...(usesRate(settings) ? [`--lr ${half(lr)}`] : []),
    ...(method === "full" ? [] : [`--adapter-lr ${half(adapterLr)}`]),
    ...(clipGradNorm === null ? ["--clip-grad-norm 1"] : []),
  ].join(" ");
}
