import { mergeableLayers } from "../adapters/inject.js";
import type { LowRankTerm } from "../adapters/low-rank-term.js";
import type { MergeOutcome } from "../adapters/mergeable-layer.js";
import { singularValues } from "../adapters/spectrum.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { MasterWeights } from "./master-weights.js";
import { type MergedLayer, RELATIVE_THRESHOLD } from "./merge-report.js";

/** Ranks summed over the cycles beyond which only some layers are analysed: singular values cost the cube of it. */
const LARGEST_FULL_ANALYSIS = 256;

/**
 * Describes each layer of a merge, with the rank of what it has learned in all cycles. Once the ranks of the cycles add
 * up to more than 256, one layer of each kind has a rank, from the middle of the model.
 */
export async function mergedLayers(
  model: CausalLM,
  outcomes: ReadonlyMap<string, MergeOutcome>,
  master: MasterWeights,
): Promise<MergedLayer[]> {
  const analysed = analysedLayers([...outcomes.keys()], master);
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
  const terms: LowRankTerm[] = [];
  for await (const term of master.terms(layer)) terms.push(term);
  const values = singularValues(terms, outFeatures, inFeatures);
  return values.filter((value) => value > RELATIVE_THRESHOLD * values[0]!).length;
}

function analysedLayers(names: readonly string[], master: MasterWeights): ReadonlySet<string> {
  if (master.summedRank(names[0]!) <= LARGEST_FULL_ANALYSIS) return new Set(names);
  const kindOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
  return new Set(
    [...new Set(names.map(kindOf))].map((kind) => {
      const ofKind = names.filter((name) => kindOf(name) === kind);
      return ofKind[Math.floor(ofKind.length / 2)]!;
    }),
  );
}
