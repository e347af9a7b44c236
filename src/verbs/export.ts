import { ConfigError } from "../base/errors.js";
import type { PeftAdapter } from "../formats/peft.js";
import { readPeftAdapter, writePeftAdapter } from "../formats/peft.js";
import type { FloatDType } from "../formats/quant-state.js";
import { isCommit, parseHubName } from "../hub/hub-name.js";
import { hubModelOf, modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { requireNewFolder } from "../loading/companions.js";
import { tiedNames } from "../loading/model-source.js";
import { isAdapterFolder } from "../loading/open-adapter.js";
import type { WeightedAdapter } from "../loading/weighted-adapters.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import { isRunFolder } from "../runs/run-folder.js";
import { isMerged, openRunAsModel, restoreTrained, type SavedRun } from "../runs/saved-run.js";
import { joinAdapter } from "../runs/saving.js";
import type { HostTensor } from "../tensor/dtype.js";
import { exportOnnx } from "./export-onnx.js";
import type { MergedModel, MergeOptions } from "./merge.js";
import { mergeTarget, type Origin, openTarget } from "./merge.js";
import { requireNoBase, requireNoCheckpoint } from "./target.js";

/** What a model can be exported as. */
export const EXPORT_FORMATS = ["peft", "hf", "onnx"] as const;

/** Options of {@link exportTarget}. */
export interface ExportOptions extends DownloadEvents {
  readonly to: (typeof EXPORT_FORMATS)[number];
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  /** The model under a PEFT adapter, a folder or a name of the hub; null for the one that the adapter names. */
  readonly base: string | null;
  /** As in {@link MergeOptions}; not for `peft`. */
  readonly adapters?: readonly WeightedAdapter[];
  /** As in {@link MergeOptions}. */
  readonly checkpoint?: CheckpointName | null;
  /** Of the weights of a whole model; null for the format's default. An adapter is always float32. */
  readonly dtype: FloatDType | null;
}

/** A PEFT adapter, written. */
export interface ExportedAdapter {
  readonly format: "peft";
  readonly folder: string;
  /** That of every layer: cycles × rank, and that of what was not merged yet. */
  readonly rank: number;
  /** Adapted layers. */
  readonly layers: number;
  /** Parameters that the adapter replaces as a whole, by name on disk. */
  readonly modulesToSave: readonly string[];
  /** What it is to be put on, as its config says; null where it does not say. */
  readonly baseModel: string | null;
  /** What the base was quantized with in training, in words; null for float32 or where it is not known. */
  readonly quantizer: string | null;
}

/** A Hugging Face folder, written. */
export interface ExportedModel extends Omit<MergedModel, "modelFolder" | "verification"> {
  readonly format: "hf";
  readonly folder: string;
}

/** A folder with an ONNX model, written. */
export interface ExportedOnnx {
  readonly format: "onnx";
  readonly folder: string;
  /** The model file, relative to `folder`. */
  readonly model: string;
  readonly dtype: "float32" | "float16";
  readonly parameters: number;
  /** Bytes of the model and of the files of its weights. */
  readonly fileBytes: number;
  /** Files with weights beside the model. */
  readonly dataFiles: number;
  /** Whether there is a tokenizer.json, without which transformers.js takes token ids alone. */
  readonly hasTokenizer: boolean;
  /** As in {@link MergedModel}: the file holds float weights all the same. */
  readonly quantizer: string | null;
}

/**
 * Writes a run, as one of its checkpoints has it, a PEFT adapter, or a model folder for other programs: as one PEFT adapter, as a plain
 * Hugging Face folder, or as ONNX with a key-value cache.
 * @throws ConfigError if `out` holds files already, and for what the format cannot hold; CheckpointError as `mergeTarget`. Nothing is
 * left behind then.
 */
export async function exportTarget(
  target: string,
  { to, out, dtype, ...origin }: ExportOptions,
): Promise<ExportedAdapter | ExportedModel | ExportedOnnx> {
  await requireNewFolder(out);
  if (to === "peft") {
    if (dtype !== null)
      throw new ConfigError("--dtype: is for --to hf and onnx; an adapter is float32, so leave it out");
    if (origin.adapters !== undefined && origin.adapters.length > 0)
      throw new ConfigError("--adapters: is for --to hf and onnx; an adapter is written from one run or adapter");
    return exportAdapter(target, out, origin);
  }
  if (to === "hf") {
    const options = { ...origin, out, dtype, verify: false };
    const { modelFolder, verification: _, ...model } = await mergeTarget(target, options);
    return { format: "hf", folder: modelFolder, ...model };
  }
  if (dtype === "bfloat16") {
    throw new ConfigError("--dtype: ONNX files hold float32 or float16, got bfloat16, which few runtimes compute with");
  }
  return exportOnnx(await openTarget(target, origin), { out, dtype: dtype ?? "float32" });
}

async function exportAdapter(target: string, out: string, origin: Origin): Promise<ExportedAdapter> {
  const adapter = await adapterOf(target, origin);
  await writePeftAdapter(out, adapter);
  return {
    format: "peft",
    folder: out,
    rank: adapter.rank,
    layers: adapter.layers.size,
    modulesToSave: [...adapter.modulesToSave.keys()],
    baseModel: adapter.baseModel,
    quantizer: adapter.base?.quantizer ?? null,
  };
}

async function adapterOf(
  named: string,
  { base, checkpoint = null, onDownload, onNotice }: Origin,
): Promise<PeftAdapter> {
  const target = await modelFolder(named, { onDownload, onNotice });
  if (await isAdapterFolder(target)) {
    requireNoCheckpoint(named, checkpoint);
    const adapter = await readPeftAdapter(target);
    return base === null ? adapter : { ...adapter, ...(await namedBase(base)) };
  }
  requireNoBase(named, base);
  const wayOut = "write the whole model with --to hf";
  if (!(await isRunFolder(target))) {
    throw new ConfigError(
      `${target} is a whole model, of which there is no adapter; ${wayOut}, or name a run or an adapter`,
    );
  }
  const run = await openRunAsModel(target, checkpoint);
  if (run.settings.method === "full") {
    throw new ConfigError(`${target} trained every weight (method full), which no adapter can hold; ${wayOut}`);
  }
  if (run.state.phase !== "adapter") {
    throw new ConfigError(
      `${target} is still in its warm start, in which every weight trains, and has no adapter yet; resume it, or ${wayOut}`,
    );
  }
  return runAdapter(run);
}

/** A base as adapter_config.json names it. */
async function namedBase(base: string): Promise<Pick<PeftAdapter, "baseModel" | "baseRevision">> {
  const model = await hubModelOf(base);
  if (model === undefined) return { baseModel: base, baseRevision: null };
  return { baseModel: model.name, baseRevision: base.includes("@") ? model.revision : null };
}

/** The model of the hub whose weights RUN/base has, where it has: anybody can get those. */
function hubBase({ settings, state }: SavedRun): Pick<PeftAdapter, "baseModel" | "baseRevision" | "base"> | undefined {
  const model = parseHubName(settings.model);
  if (model === undefined || !isCommit(model.revision) || settings.warmStartSteps > 0) return undefined;
  return { baseModel: model.name, baseRevision: model.revision, base: { ...state.base, sha256: null } };
}

/**
 * A run as one adapter, of the ranks of all its cycles. What is trained beside the adapters is part of it where it changed. Its base is
 * the model of the hub that the run began with, or else RUN/base.
 */
async function runAdapter(run: SavedRun): Promise<PeftAdapter> {
  const { folder, settings, state, source } = run;
  const model = restoreTrained(run);
  const adapter = await joinAdapter(folder, { model, settings, state, merged: isMerged(run) });
  const { embeddings, head } = tiedNames(model);
  const modulesToSave = new Map<string, HostTensor>();
  for (const [name, tensor] of adapter.modulesToSave) {
    const before = await source.readWeight(name === head ? embeddings : name);
    if (before.some((value, i) => value !== tensor.data[i])) modulesToSave.set(name, tensor);
  }
  return { ...adapter, ...hubBase(run), modulesToSave };
}
