import type { Settings } from "../config/settings.js";
import { fillModel } from "../loading/model-source.js";
import { folderAt, MasterWeights } from "../relora/master-weights.js";
import { adapterPhase, compilePhase, quantizeFrozen } from "./phases.js";
import { prepareRun } from "./prepare.js";

/** The time that a run takes on this machine. */
export interface Speed {
  readonly secondsPerStep: number;
  readonly secondsPerEvaluation: number;
}

/** A forward pass as a share of forward and backward together. */
const FORWARD_SHARE = 1 / 3;

/**
 * Measures two steps of a run's last phase, on its own data and with its own model; the second counts. Nothing is
 * written. @throws as `prepareRun`.
 */
export async function measureSpeed(settings: Settings): Promise<Speed> {
  const run = await prepareRun(settings);
  const { model, source, cursor, heldOut } = run;
  const { method, totalBatchSize, batchSize } = run.settings;
  const isAdapted = method !== "full";
  if (isAdapted) await quantizeFrozen(run, source);
  await fillModel(model, source);
  const master = new MasterWeights(folderAt(""), { base: (layer) => source.readWeight(`${layer}.weight`), held: null });
  const phase = await (isAdapted ? adapterPhase(run, source, master, 0) : compilePhase(run));
  try {
    let seconds = 0;
    for (let i = 0; i < 2; i++) {
      const batches = cursor.take(totalBatchSize / batchSize);
      const started = performance.now();
      const { gradients } = await phase.step.runAll(batches, () => {});
      phase.update(gradients, { lrMultiplier: 0, gradientScale: 1 });
      seconds = (performance.now() - started) / 1000;
    }
    const secondsPerRow = seconds / totalBatchSize;
    const secondsPerEvaluation = FORWARD_SHARE * secondsPerRow * heldOut.length * batchSize;
    return { secondsPerStep: seconds, secondsPerEvaluation };
  } finally {
    await phase.release();
  }
}
