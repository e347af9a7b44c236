import { largest } from "../../base/numbers.js";
import type { MetricsRecord } from "../../runs/metrics.js";

/** The count of records that a checkpoint holds. */
export interface MetricsMark {
  readonly step: number;
  /** Lines up to it. */
  readonly records: number;
}

/** Faults of the records up to the last checkpoint: steps twice or missing, lines that a checkpoint counted. */
export function metricsFaults(records: readonly MetricsRecord[], marks: readonly MetricsMark[]): string[] {
  const lastStep = largest(
    marks.map(({ step }) => step),
    0,
  );
  const faults: string[] = [];
  const done = records.flatMap(({ kind, step }) =>
    (kind === "step" || kind === "skip") && step <= lastStep ? [step] : [],
  );
  const times = new Map<number, number>();
  for (const step of done) times.set(step, (times.get(step) ?? 0) + 1);
  const missing = Array.from({ length: lastStep }, (_, i) => i + 1).filter((step) => !times.has(step));
  if (missing.length > 0) faults.push(`${listSteps(missing)} missing`);
  const doubled = [...times].flatMap(([step, count]) => (count > 1 ? [step] : []));
  if (doubled.length > 0) faults.push(`${listSteps(doubled)} recorded more than once`);
  if (faults.length === 0 && done.some((step, i) => step !== i + 1)) faults.push("the steps are out of order");
  for (const { step, records: count } of marks) {
    const lines = records.filter((record) => record.step <= step).length;
    if (lines < count) faults.push(`${lines} lines up to step ${step}, its checkpoint counted ${count}`);
    else if (records.slice(0, count).some((record) => record.step > step)) {
      faults.push(`the ${count} lines that the checkpoint of step ${step} counted include later ones`);
    }
  }
  return faults;
}

function listSteps(steps: readonly number[]): string {
  if (steps.length === 1) return `step ${steps[0]} is`;
  const shown = steps.length <= 6 ? steps.join(", ") : `${steps.slice(0, 5).join(", ")}, …, ${steps.at(-1)}`;
  return `steps ${shown} are`;
}
