import { fileSize } from "#platform";
import type { MergeVerification } from "../loading/unmerged-model.js";
import { countParameters, describeHeld, FILE_TYPES, mergedTensors } from "../loading/unmerged-model.js";
import type { WeightedAdapter } from "../loading/weighted-adapters.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import { unmergedRun } from "../runs/saved-run.js";
// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { weightFiles } from "../formats/model-folder.js";
import type { FloatDType } from "../formats/quant-state.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { companionFiles, requireNewFolder } from "../loading/companions.js";
import { floatConfig, folderSource, type ModelSource, writeModel } from "../loading/model-source.js";
import { isAdapterFolder, type OpenAdapter, openAdapter } from "../loading/open-adapter.js";
import { quantizerOfModel } from "../loading/quantizing.js";
import { compareMerged, type UnmergedModel } from "../loading/unmerged-model.js";
import { openWeighted } from "../loading/weighted-adapters.js";
import { isRunFolder } from "../runs/run-folder.js";
import { openRunAsModel } from "../runs/saved-run.js";
import { requireNoAdapters, requireNoBase, requireNoCheckpoint } from "./target.js";

/** Options of {@link mergeTarget}. */
export interface MergeOptions extends DownloadEvents {
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  /** The model under a PEFT adapter, a folder or a name of the hub; null for the one that the adapter names. */
  readonly base: string | null;
  /** Adapters for a model, whose updates are merged; none where they are left out. */
  readonly adapters?: readonly WeightedAdapter[];
  /** Of the weights to write; null for that of the base, and float32 where the base is quantized or has several. */
  readonly dtype: FloatDType | null;
  /** The checkpoint of a run folder; the last one where it is left out or null, or the best where the run was told so. */
  readonly checkpoint?: CheckpointName | null;
  /** Whether to compare logits with those of the written folder. */
  readonly verify: boolean;
}

/** A merged model, written. */
export interface MergedModel {
  readonly modelFolder: string;
  readonly dtype: FloatDType;
  /** Weights written. */
  readonly parameters: number;
  /** Bytes of all files with weights, and how many these are. */
  readonly fileBytes: number;
  readonly files: number;
  /** What the frozen weights are quantized with, in words: in the base folder, or in training alone; null for float32. */
  readonly quantizer: string | null;
  /** Null where it was not asked for. */
  readonly verification: MergeVerification | null;
}

/**
 * Writes a run, as one of its checkpoints has it, a PEFT adapter with its base, or a model folder as a plain Hugging Face folder, in
 * shards where the base has them. Weights are read, merged in float32 and written one after another.
 * @throws ConfigError if `out` holds files already; CheckpointError for what does not fit together, and for a value that the
 * dtype cannot hold. Nothing is left behind then.
 */
export async function mergeTarget(
  target: string,
  { out, dtype, verify, ...origin }: MergeOptions,
): Promise<MergedModel> {
  await requireNewFolder(out);
  const unmerged = await openTarget(target, origin);
  const { source, baseFolder, quantizer } = unmerged;
  const chosen = dtype ?? dtypeOf(source);
  const tensors = mergedTensors(unmerged, FILE_TYPES[chosen]);
  const files = await companionFiles(baseFolder);
  const baseSizes = await weightSizes(baseFolder);
  const shardBytes = baseSizes.length > 1 ? Math.max(...baseSizes) : Number.POSITIVE_INFINITY;
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

/** What of a target is meant, and who hears of downloads. */
export type Origin = Pick<MergeOptions, "base" | "checkpoint" | "adapters" | keyof DownloadEvents>;

/** A run as one of its checkpoints has it, a PEFT adapter with its base, or a model. @throws as {@link mergeTarget}. */
export async function openTarget(
  named: string,
  { base, checkpoint = null, adapters = [], onDownload, onNotice }: Origin,
): Promise<UnmergedModel> {
  const events = { onDownload, onNotice };
  const target = await modelFolder(named, events);
  if (await isRunFolder(target)) {
    requireNoBase(named, base);
    requireNoAdapters(named, adapters);
    return unmergedRun(await openRunAsModel(target, checkpoint));
  }
  requireNoCheckpoint(named, checkpoint);
  if (await isAdapterFolder(target)) {
    requireNoAdapters(named, adapters);
    return unmergedAdapter(await openAdapter(target, base, events));
  }
  requireNoBase(named, base);
  const source = await folderSource(target);
  const quantizer = describeHeld(quantizerOfModel(source.build()));
  const effect = await openWeighted(adapters, target, events);
  return { source, baseFolder: target, ...(effect ?? { replaced: new Map(), updates: new Map() }), quantizer };
}

function unmergedAdapter({ adapter, effect, source, baseFolder }: OpenAdapter): UnmergedModel {
  const quantizer = adapter.base?.quantizer ?? describeHeld(quantizerOfModel(source.build()));
  return { source, baseFolder, ...effect, quantizer };
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
