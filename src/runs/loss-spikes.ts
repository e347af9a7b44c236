import type { StepRecord } from "./metrics.js";

/** A step whose loss and gradient stand out from those before it. */
export interface LossSpike {
  readonly step: number;
  readonly loss: number;
  /** Median loss of the steps before. */
  readonly before: number;
}

/** Steps with which a step is compared. */
const BEFORE = 20;
/** Steps after a merge or a restart that are none: the loss has teeth there. */
const SETTLING = 20;
/** What a spike's loss is above the median: a factor, nats, and standard deviations by the median deviation. */
const ABOVE = { factor: 1.3, nats: 0.5, deviations: 6 };
/** A spike's gradient norm as a multiple of the median, which tells it from a batch that is hard. */
const GRADIENT = 3;
/** Standard deviation of a normal distribution by its median absolute deviation. */
const BY_MEDIAN_DEVIATION = 1.4826;

/**
 * Spikes of the training loss; several steps in a row are one, of which the highest is given.
 * @param events steps after which the loss may jump: merges, resets, switches of the phase.
 */
export function lossSpikes(steps: readonly StepRecord[], events: readonly number[]): LossSpike[] {
  const spikes: LossSpike[] = [];
  let event = 0;
  let lastAt = Number.NEGATIVE_INFINITY;
  for (const [i, { step, loss, gradNorm }] of steps.entries()) {
    while (event < events.length && events[event]! < step) event++;
    const settled = event === 0 || step - events[event - 1]! > SETTLING;
    if (i < BEFORE || !settled || events[event] === step) continue;
    const window = steps.slice(i - BEFORE, i);
    const losses = window.map((each) => each.loss);
    const before = median(losses);
    const rise = loss - before;
    if (!(rise > Math.max(ABOVE.nats, (ABOVE.factor - 1) * before))) continue;
    const deviation = BY_MEDIAN_DEVIATION * median(losses.map((each) => Math.abs(each - before)));
    if (rise <= ABOVE.deviations * deviation || gradNorm <= GRADIENT * median(window.map((each) => each.gradNorm)))
      continue;
    const isSame = i - lastAt <= BEFORE / 2;
    lastAt = i;
    const spike = { step, loss, before };
    if (!isSame) spikes.push(spike);
    else if (loss > spikes.at(-1)!.loss) spikes[spikes.length - 1] = spike;
  }
  return spikes;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
