import { joinPath } from "#platform";
import { loraAdapters } from "../../adapters/inject.js";
import { joinTerms, type LowRankTerm, sinceStart, withCore } from "../../adapters/low-rank-term.js";
import { readJsonObject } from "../../formats/json-file.js";
import type { LazyTensor } from "../../formats/lazy-tensor.js";
import { loraScalings } from "../../formats/peft.js";
import { parsePeftConfig } from "../../formats/peft-config.js";
import { type LoraPair, readPair, sortTensors, termOf } from "../../formats/peft-tensors.js";
import { openSafetensors } from "../../formats/safetensors.js";
import type { StoredTensor } from "../../formats/stored-tensor.js";
import { type Delta, openDelta } from "../../relora/delta-log.js";
import type { RunState } from "../../runs/run-state.js";
import { isMerged } from "../../runs/saved-run.js";
import type { Expected } from "./check-checkpoint.js";

/** Sources of RUN/adapter. */
export interface PublishedParts {
  readonly runFolder: string;
  /** Where RUN/adapter lies. */
  readonly folder: string;
  readonly checkpointFolder: string;
  readonly step: number;
  readonly state: RunState;
  readonly expected: Expected;
}

/**
 * Compares RUN/adapter with the merged cycles joined with what the checkpoint's adapters have learned, to the last
 * bit and one layer in memory at a time. Returns in words how it differs; null if it does not.
 * @throws CheckpointError for files that are none.
 */
export async function adapterDifference(parts: PublishedParts): Promise<string | null> {
  const { runFolder, folder, checkpointFolder, step, state, expected } = parts;
  const faults: string[] = [];
  const config = parsePeftConfig(await readJsonObject(joinPath(folder, "adapter_config.json")), faults);
  const { tensors } = await openSafetensors(joinPath(folder, "adapter_model.safetensors"));
  const { layers, modulesToSave, biases } = sortTensors(tensors, config, faults);
  if (faults.length > 0) return faults[0]!;
  const scalings = loraScalings(layers.keys(), config);
  const cycles: Delta<LazyTensor>[] = [];
  for (let cycle = 1; cycle <= state.deltas.length; cycle++) cycles.push(await openDelta(runFolder, cycle));
  const open = async (name: string): Promise<ReadonlyMap<string, StoredTensor>> =>
    (await openSafetensors(joinPath(checkpointFolder, `${name}.safetensors`))).tensors;
  const trainable = await open("trainable");
  const merged = isMerged({ checkpoint: { step }, settings: expected.settings, state });
  const starts = merged ? undefined : await open("adapter_start").catch(() => undefined);
  const names = new Set(trainable.keys());
  for (const [layer, { rank: ownRank, scaling }] of loraAdapters(expected.adapted!)) {
    const [a, b, m, c] = PARTS.map((part) => `${layer}.adapter.${part}`) as [string, string, string, string];
    for (const name of [a, b, m, c]) names.delete(name);
    const terms: LowRankTerm[] = [];
    for (const cycle of cycles)
      terms.push(await readTerm(cycle.layers.get(layer)!, cycle.scalings?.get(layer) ?? cycle.scaling));
    const core = trainable.get(c);
    if (!merged && core !== undefined) {
      const [loraA, loraB] = await Promise.all(
        ["loraA", "loraB"].map((base) => valuesOf(starts!.get(`${layer}.${base}`)!)),
      );
      terms.push({ rank: ownRank, scaling, loraA: loraA!, loraB: withCore(loraB!, await valuesOf(core)) });
    } else if (!merged) {
      const magnitude = trainable.get(m);
      const pair = { loraA: trainable.get(a)!, loraB: trainable.get(b)! };
      const now = await readTerm(magnitude === undefined ? pair : { ...pair, magnitude }, scaling);
      const start = starts?.get(`${layer}.loraA`);
      const startOfB = starts?.get(`${layer}.loraB`);
      const from = start && startOfB && (await readTerm({ loraA: start, loraB: startOfB }, scaling));
      terms.push(sinceStart({ ...now, rank: ownRank }, from && { loraA: from.loraA, loraB: from.loraB }));
    }
    const wanted = joinTerms(terms);
    const published = layers.get(layer);
    if (published === undefined) return "is from another run";
    const { rank, alpha } = scalings.get(layer)!;
    if (rank !== wanted.rank) return `is from ${rank < wanted.rank ? "an earlier" : "a later"} step`;
    if (alpha !== wanted.scaling * rank) return "is from another run";
    const is = await readTerm(published, wanted.scaling);
    if (!isSame(is.loraA, wanted.loraA) || !isSame(is.loraB, wanted.loraB)) return "is from another step";
    if (!isSame(is.magnitude ?? NOTHING, wanted.magnitude ?? NOTHING)) return "is from another step";
  }
  for (const name of names) {
    const published = modulesToSave.get(name) ?? biases.get(name);
    if (published === undefined || !isSame(await valuesOf(published), await valuesOf(trainable.get(name)!))) {
      return "is from another step";
    }
  }
  return null;
}

/** Tensors of an adapter that may be there. */
const PARTS = ["loraA", "loraB", "magnitude", "core"];

const NOTHING = new Float32Array(0);

async function readTerm(pair: LoraPair<LazyTensor>, scaling: number): Promise<LowRankTerm> {
  return termOf(await readPair(pair), scaling);
}

async function valuesOf(tensor: LazyTensor): Promise<Float32Array> {
  return (await tensor.read()) as Float32Array;
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}
