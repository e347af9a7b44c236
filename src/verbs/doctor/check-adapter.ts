import { joinPath } from "#platform";
import { adapterTensors, mergeableLayers } from "../../adapters/inject.js";
import { joinTerms, type LowRankTerm } from "../../adapters/low-rank-term.js";
import { readJsonObject } from "../../files/json-file.js";
import type { LazyTensor } from "../../files/lazy-tensor.js";
import { openSafetensors } from "../../files/safetensors.js";
import type { StoredTensor } from "../../files/stored-tensor.js";
import { loraScalings } from "../../formats/peft.js";
import { parsePeftConfig } from "../../formats/peft-config.js";
import { type LoraPair, readPair, sortTensors, termOf } from "../../formats/peft-tensors.js";
import { namedParameters } from "../../nn/module.js";
import { type Delta, openDelta } from "../../relora/delta-log.js";
import { adapterMaker, adapterOptions } from "../../relora/settings-adapters.js";
import type { RunState } from "../../runs/run-state.js";
import { isMerged } from "../../runs/saved-run.js";
import { restoreStarts } from "../../runs/saving.js";
import type { HostTensor } from "../../tensor/dtype.js";
import { Rng } from "../../tensor/random.js";
import type { Expected } from "./check-checkpoint.js";

/** Sources of RUN/adapter. */
export interface PublishedParts {
  readonly runFolder: string;
  /** The place of RUN/adapter. */
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
export async function adapterDifference(published: PublishedParts): Promise<string | null> {
  const { runFolder, folder, checkpointFolder, step, state, expected } = published;
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
  const starts = merged ? new Map<string, StoredTensor>() : await open("adapter_start").catch(() => new Map());
  const names = new Set(trainable.keys());
  const tensorsOfAdapters = [...adapterTensors(expected.adapted!)];
  const adapted = mergeableLayers(expected.adapted!);
  const makeAdapter = adapterMaker(expected.settings, adapterOptions(adapted.keys(), expected.settings));
  for (const [layer, { inFeatures, outFeatures, frozen }] of adapted) {
    const terms: LowRankTerm[] = [];
    for (const cycle of cycles)
      terms.push(await readTerm(cycle.layers.get(layer)!, cycle.scalings?.get(layer) ?? cycle.scaling));
    const adapter = makeAdapter(inFeatures, outFeatures, new Rng(0), layer, frozen);
    const parameters = namedParameters(adapter);
    for (const [name, part] of tensorsOfAdapters) {
      if (part.layer !== layer || !names.delete(name) || merged) continue;
      parameters.get(part.name)!.assign(await valuesOf(trainable.get(name)!));
    }
    if (!merged) {
      restoreStarts(new Map([[layer, adapter]]), await readLayer(starts, layer), checkpointFolder);
      terms.push(await adapter.learned());
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
  const { storage } = expected.adapted!;
  const others = new Map([...modulesToSave, ...biases].map(([name, tensor]) => [storage.nameOf(name) ?? name, tensor]));
  for (const name of names) {
    const published = others.get(name);
    if (published === undefined || !isSame(await valuesOf(published), await valuesOf(trainable.get(name)!))) {
      return "is from another step";
    }
  }
  return null;
}

const NOTHING = new Float32Array(0);

async function readTerm(pair: LoraPair<LazyTensor>, scaling: number): Promise<LowRankTerm> {
  return termOf(await readPair(pair), scaling);
}

async function readLayer(tensors: ReadonlyMap<string, StoredTensor>, layer: string): Promise<Map<string, HostTensor>> {
  const own = new Map<string, HostTensor>();
  for (const [name, tensor] of tensors) {
    if (!name.startsWith(`${layer}.`)) continue;
    own.set(name, { dtype: "float32", shape: tensor.shape, data: await valuesOf(tensor) });
  }
  return own;
}

async function valuesOf(tensor: LazyTensor): Promise<Float32Array> {
  return (await tensor.read()) as Float32Array;
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}
