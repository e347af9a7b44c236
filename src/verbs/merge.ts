import { fileSize } from "#platform";
import { largest } from "../base/numbers.js";
import { CARD } from "../files/own-card.js";
import { weightFiles } from "../formats/model-folder.js";
import type { FloatDType } from "../formats/quant-state.js";
import { companionsWithTokenizer } from "../loading/companions.js";
import { floatConfig, type ModelSource, writeModel } from "../loading/model-source.js";
import { requireApart, requireNewFolder } from "../loading/output-folder.js";
import {
  compareMerged,
  countParameters,
  FILE_TYPES,
  type MergeVerification,
  mergedTensors,
} from "../loading/unmerged-model.js";
import { type Origin, openTarget, readBy, unmergedOf } from "./target.js";
import { hasChatTemplate, targetCard } from "./target-card.js";

/** Options of {@link mergeTarget}. */
export interface MergeOptions extends Origin {
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  /**
   * Type of the weights to write; null for that of the base, and float32 where the base is quantized or has several.
   */
  readonly dtype: FloatDType | null;
  /** True to compare logits with those of the written folder. */
  readonly verify: boolean;
}

/** A merged model, written. */
export interface MergedModel {
  readonly modelFolder: string;
  readonly dtype: FloatDType;
  /** Weights written. */
  readonly parameters: number;
  /** Bytes of all files with weights, and their number. */
  readonly fileBytes: number;
  readonly files: number;
  /** The quantizer of the frozen weights, in words: of the base folder, or of training alone; null for float32. */
  readonly quantizer: string | null;
  /** Null if it was not asked for. */
  readonly verification: MergeVerification | null;
}

/**
 * Writes a checkpoint of a run, a PEFT adapter with its base, or a model folder as a plain Hugging Face folder, in
 * shards if the base has them. Weights are read, merged in float32 and written one after another.
 * @throws ConfigError if `out` holds files already; CheckpointError for what does not fit together, and for a value
 * that the dtype cannot hold. Nothing is left behind then.
 */
export async function mergeTarget(
  target: string,
  { out, dtype, verify, ...origin }: MergeOptions,
): Promise<MergedModel> {
  await requireNewFolder(out, readBy(target, origin));
  const opened = await openTarget(target, origin);
  const unmerged = await unmergedOf(opened);
  const { source, baseFolder, tokenizerFolder, quantizer } = unmerged;
  await requireApart(out, [baseFolder, tokenizerFolder]);
  const chosen = dtype ?? dtypeOf(source);
  const tensors = mergedTensors(unmerged, FILE_TYPES[chosen]);
  const files = await companionsWithTokenizer(baseFolder, tokenizerFolder);
  const form = { kind: "model", isQuantized: false, isChat: await hasChatTemplate(tokenizerFolder) } as const;
  files.set(CARD, await targetCard(opened, form, baseFolder));
  const baseSizes = await weightSizes(baseFolder);
  const shardBytes = baseSizes.length > 1 ? largest(baseSizes) : Number.POSITIVE_INFINITY;
  await writeModel(out, { config: floatConfig(source.config, chosen), tensors, shardBytes, files });
  const sizes = await weightSizes(out);
  return {
    modelFolder: out,
    dtype: chosen,
    parameters: countParameters(tensors),
    fileBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    files: sizes.length,
    quantizer,
    verification: verify ? await compareMerged(unmerged, out) : null,
  };
}

/** Bytes of each file with weights. */
async function weightSizes(folder: string): Promise<number[]> {
  return Promise.all([...(await weightFiles(folder)).keys()].map(fileSize));
}

/** The dtype of all floats among the tensors; float32 where they have several, or some are quantized. */
function dtypeOf({ tensors, quantized }: ModelSource): FloatDType {
  if (quantized.size > 0) return "float32";
  const floats = [...tensors.values()].filter(({ dtype }) => dtype === "float32");
  const types = new Set(floats.map(({ fileType }) => fileType));
  if (types.size !== 1) return "float32";
  if (types.has("BF16")) return "bfloat16";
  return types.has("F16") ? "float16" : "float32";
}
