import { sha256File } from "#platform";
import { adaptersOf } from "../../adapters/inject.js";
import { deltaPath, openDelta, presentCycles } from "../../relora/delta-log.js";
import { planRun } from "../../relora/plan.js";
import { collect, compareTensors, type Expected } from "./check-checkpoint.js";

/** A cycle of the delta log as its file has it. */
export interface CheckedCycle {
  readonly cycle: number;
  /** Null if the file is missing or cannot be read. */
  readonly sha256: string | null;
  readonly faults: readonly string[];
}

/**
 * Checks cycles 1, 2, … of the log, one tensor in memory at a time: that none is missing up to the last, their steps,
 * layers, shapes and values.
 * @param expected null if it is not known; then each file is checked on its own.
 */
export async function checkDeltas(runFolder: string, expected: Expected | null): Promise<CheckedCycle[]> {
  const present = await presentCycles(runFolder);
  const plan = expected === null ? null : planRun(expected.settings);
  // Where adapters restart when they are full, the checkpoints know the steps, and the checksum of each cycle.
  const merges = plan?.restartsWhenFull === false ? plan.merges : null;
  const checked: CheckedCycle[] = [];
  for (let cycle = 1; cycle <= (present.at(-1) ?? 0); cycle++) {
    if (present.includes(cycle)) checked.push(await checkCycle(runFolder, cycle, expected, merges));
    else checked.push({ cycle, sha256: null, faults: [`cycle ${cycle} is missing`] });
  }
  return checked;
}

async function checkCycle(
  runFolder: string,
  cycle: number,
  expected: Expected | null,
  merges: readonly number[] | null,
): Promise<CheckedCycle> {
  const faults: string[] = [];
  let sha256: string | null = null;
  await collect(faults, async () => {
    sha256 = await sha256File(deltaPath(runFolder, cycle));
    const { step, layers } = await openDelta(runFolder, cycle);
    if (merges !== null && step !== merges[cycle - 1]) {
      faults.push(`merged after step ${step}; the plan has that merge after ${merges[cycle - 1] ?? "no step"}`);
    }
    const adapters = expected?.adapted && adaptersOf(expected.adapted);
    for (const layer of adapters?.keys() ?? []) if (!layers.has(layer)) faults.push(`${layer} is missing`);
    for (const [layer, { loraA, loraB }] of layers) {
      const adapter = adapters?.get(layer);
      if (adapters != null && adapter === undefined) faults.push(`${layer} has no adapter in this run`);
      // The rank is twice that of the adapter if that did not start at zero.
      const [rank, inFeatures, outFeatures] = [loraA.shape[0]!, loraA.shape[1]!, loraB.shape[0]!];
      const shapes = [
        ["lora_A", [rank, adapter?.inFeatures ?? inFeatures]],
        ["lora_B", [adapter?.outFeatures ?? outFeatures, rank]],
      ] as const;
      const tensors = new Map([["lora_A", loraA] as const, ["lora_B", loraB] as const]);
      await compareTensors(layer, tensors, new Map(shapes), faults);
    }
  });
  return { cycle, sha256, faults };
}
