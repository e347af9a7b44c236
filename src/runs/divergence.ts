import type { Settings } from "../config/settings.js";

/** Below so many nats the lowest loss counts as this: so far down, a factor is a difference that means nothing. */
const LEAST_LOSS = 1;

/** Losses that an evaluation is compared with. */
export interface LossLimits {
  /** Lowest held-out loss before, in nats; null before the first evaluation. */
  readonly lowest: number | null;
  /** Multiple of the lowest loss that is too much; null for no limit. */
  readonly factor: number | null;
}

/**
 * True if training undoes what was learned: the held-out loss is above `factor` times its lowest, and the training
 * loss above that lowest too, which tells it from overfitting, where the training loss falls. A loss that is not a
 * number is above everything.
 */
export function isDiverging(heldOut: number, training: number, { lowest, factor }: LossLimits): boolean {
  if (lowest === null || factor === null) return false;
  return !(heldOut <= factor * Math.max(lowest, LEAST_LOSS)) && !(training <= lowest);
}

/** The command that goes on with a run that diverged, gentler. */
export function gentlerResume(
  runFolder: string,
  checkpoint: "last" | "best",
  { method, lr, adapterLr, clipGradNorm }: Pick<Settings, "method" | "lr" | "adapterLr" | "clipGradNorm">,
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
