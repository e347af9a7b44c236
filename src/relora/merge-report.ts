import { COUNT, type Fields, IF_KNOWN, listOf, MEASURED, TEXT } from "../base/fields.js";
import { formatRanks } from "../base/numbers.js";

/**
 * Singular values above it are the ReLoRA paper's measure of the rank of an update (Lialin et al. 2023,
 * arXiv:2307.05695, section 4).
 */
export const RANK_THRESHOLD = 0.1;

/** Share of the largest singular value above which others count towards the rank of an update, whatever its size. */
export const RELATIVE_THRESHOLD = 0.01;

const MERGED_LAYER = {
  name: TEXT,
  /** Frobenius norm of the update ΔW that this merge added. */
  deltaNorm: MEASURED,
  /** Share of the update found in the weight that computes, ⟨change, ΔW⟩ / ⟨ΔW, ΔW⟩: 1 when nothing is lost. */
  recovered: MEASURED,
  /** Share of the quantized weight's codes that the merge changed, from 0 to 1; null on float32 weights. */
  codesChanged: IF_KNOWN,
  /**
   * Singular values of the layer's accumulated update above RELATIVE_THRESHOLD of the largest, 0 where nothing changed;
   * null where they were not computed.
   */
  rank: IF_KNOWN,
};

/** One adapted layer at one merge. */
export interface MergedLayer extends Fields<typeof MERGED_LAYER> {}

/** The fields of a {@link MergeReport}. */
export const MERGE_REPORT = {
  step: COUNT,
  /** The cycle that this merge ends, from 1. */
  cycle: COUNT,
  /**
   * The policy by which quantized weights took up the update; null on float32 weights, and for the last cycle of a run,
   * which quantized weights do not take up: it goes to the delta log alone.
   */
  policy: TEXT.nullable(),
  /** Held-out loss right before the merge. */
  lossBefore: MEASURED,
  /** Held-out loss right after the merge. */
  lossAfter: MEASURED,
  /** Frobenius norm of the merged update over all layers. */
  deltaNorm: MEASURED,
  /** As for a layer, over all layers. */
  recovered: MEASURED,
  /** As for a layer, over all layers. */
  codesChanged: IF_KNOWN,
  /** Largest absolute change of any logit of the probe batch. */
  probeLogitsChange: MEASURED,
  /** Sum of the ranks of the layers that have one. */
  rank: COUNT,
  layers: listOf(MERGED_LAYER),
};

/** One merge of the adapters into the weights, as it is recorded. */
export interface MergeReport extends Fields<typeof MERGE_REPORT> {}

/** The rank that the merged updates of layers have reached, in words; null where it is not known. */
export function rankText(layers: readonly Pick<MergedLayer, "rank">[]): string | null {
  const ranks = layers.map(({ rank }) => rank);
  const text = formatRanks(ranks);
  if (text === null) return null;
  return ranks.some((rank) => rank !== null && rank > 0) ? `rank ${text}` : "nothing changed";
}
