import { mergeableLayers } from "../adapters/inject.js";
import type { MergeOutcome } from "../adapters/mergeable-layer.js";
import { rankOfChange, singularValues } from "../adapters/spectrum.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { MasterWeights } from "./master-weights.js";
import { type MergedLayer, RELATIVE_THRESHOLD } from "./merge-report.js";

/** The rank that a layer can have beyond which only some are analysed: singular values cost the cube of it. */
const LARGEST_FULL_ANALYSIS = 256;

/** Terms of fewer directions than this part of the layer's smaller side are analysed faster than their sum. */
const FEW_DIRECTIONS = 8;

/**
 * Describes each layer of a merge, with the rank of what it has learned in all cycles. Where that can be more than
 * 256, one layer of each kind has a rank, from the middle of the model.
 */
export async function mergedLayers(
  model: CausalLM,
  outcomes: ReadonlyMap<string, MergeOutcome>,
  master: MasterWeights,
): Promise<MergedLayer[]> {
  const analysed = analysedLayers([...outcomes.keys()], model, master);
  const layers: MergedLayer[] = [];
  for (const [name, outcome] of outcomes) {
    layers.push({ name, ...outcome, rank: analysed.has(name) ? await rankOf(name, model, master) : null });
  }
  return layers;
}

/** The outcome of a merge over all layers. */
export function totalOutcome(model: CausalLM, outcomes: ReadonlyMap<string, MergeOutcome>): MergeOutcome {
  const layers = mergeableLayers(model);
  let [squares, projection, codes, changed] = [0, 0, 0, 0];
  for (const [name, { deltaNorm, recovered, codesChanged }] of outcomes) {
    squares += deltaNorm ** 2;
    projection += recovered * deltaNorm ** 2;
    if (codesChanged === null) continue;
    const { inFeatures, outFeatures } = layers.get(name)!;
    codes += inFeatures * outFeatures;
    changed += codesChanged * inFeatures * outFeatures;
  }
  return {
    deltaNorm: Math.sqrt(squares),
    recovered: squares === 0 ? 1 : projection / squares,
    codesChanged: codes === 0 ? null : changed / codes,
  };
}

async function rankOf(layer: string, model: CausalLM, master: MasterWeights): Promise<number> {
  const { inFeatures, outFeatures } = mergeableLayers(model).get(layer)!;
  const summedRank = master.summedRank(layer);
  const terms = summedRank * FEW_DIRECTIONS <= Math.min(inFeatures, outFeatures) ? await master.terms(layer) : null;
  if (terms !== null) {
    const values = singularValues(terms, outFeatures, inFeatures);
    return values.filter((value) => value > RELATIVE_THRESHOLD * values[0]!).length;
  }
  const shape = [outFeatures, inFeatures] as const;
  const rank = await rankOfChange(await master.base(layer), await master.weight(layer), shape, RELATIVE_THRESHOLD);
  return Math.min(rank, summedRank);
}

function analysedLayers(names: readonly string[], model: CausalLM, master: MasterWeights): ReadonlySet<string> {
  const layers = mergeableLayers(model);
  const largestRank = (name: string): number => {
    const { inFeatures, outFeatures } = layers.get(name)!;
    return Math.min(master.summedRank(name), inFeatures, outFeatures);
  };
  if (names.every((name) => largestRank(name) <= LARGEST_FULL_ANALYSIS)) return new Set(names);
  const kindOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
  return new Set(
    [...new Set(names.map(kindOf))].map((kind) => {
      const ofKind = names.filter((name) => kindOf(name) === kind);
      return ofKind[Math.floor(ofKind.length / 2)]!;
    }),
  );
}
