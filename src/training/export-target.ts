import type { PeftAdapter } from "../checkpoints/peft.js";
import { readPeftAdapter, writePeftAdapter } from "../checkpoints/peft.js";
import type { HostTensor } from "../tensor/dtype.js";
import { ConfigError } from "../tensor/errors.js";
import type { ExportedAdapter, ExportedModel, ExportedOnnx, ExportOptions } from "./contracts.js";
import { exportOnnx } from "./export-onnx.js";
import { isAdapterFolder, requireNoBase, requireNoCheckpoint } from "./load-target.js";
import { mergeTarget, openTarget } from "./merge-target.js";
import { tiedNames } from "./model-source.js";
import { requireNewFolder } from "./output-folder.js";
import { planStep } from "./relora.js";
import { isRunFolder } from "./run-folder.js";
import { openRunAsModel, restoreTrained, type SavedRun } from "./saved-run.js";
import { joinAdapter } from "./saving.js";

/**
 * Writes a run, as one of its checkpoints has it, a PEFT adapter, or a model folder for other programs: as one PEFT adapter, as a plain
 * Hugging Face folder, or as ONNX with a key-value cache.
 * @throws ConfigError if `out` holds files already, and for what the format cannot hold; CheckpointError as `mergeTarget`. Nothing is
 * left behind then.
 */
export async function exportTarget(
  target: string,
  { to, out, base, checkpoint = null, dtype }: ExportOptions,
): Promise<ExportedAdapter | ExportedModel | ExportedOnnx> {
  await requireNewFolder(out);
  if (to === "peft") {
    if (dtype !== null)
      throw new ConfigError("--dtype: is for --to hf and onnx; an adapter is float32, so leave it out");
    return exportAdapter(target, out, { base, checkpoint });
  }
  if (to === "hf") {
    const options = { out, base, checkpoint, dtype, verify: false };
    const { modelFolder, verification: _, ...model } = await mergeTarget(target, options);
    return { format: "hf", folder: modelFolder, ...model };
  }
  if (dtype === "bfloat16") {
    throw new ConfigError("--dtype: ONNX files hold float32 or float16, got bfloat16, which few runtimes compute with");
  }
  return exportOnnx(await openTarget(target, { base, checkpoint }), { out, dtype: dtype ?? "float32" });
}

/** What of a target is meant. */
type Origin = Pick<ExportOptions, "base" | "checkpoint">;

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

async function adapterOf(target: string, { base, checkpoint = null }: Origin): Promise<PeftAdapter> {
  if (await isAdapterFolder(target)) {
    requireNoCheckpoint(target, checkpoint);
    const adapter = await readPeftAdapter(target);
    return base === null ? adapter : { ...adapter, baseModel: base };
  }
  requireNoBase(target, base);
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

/** A run as one adapter, of the ranks of all its cycles. What is trained beside the adapters is part of it where it changed. */
async function runAdapter(run: SavedRun): Promise<PeftAdapter> {
  const { folder, settings, state, checkpoint, source } = run;
  const { merge: merged } = planStep(checkpoint.step, { ...settings, maxSteps: state.maxSteps });
  const model = restoreTrained(run);
  const adapter = await joinAdapter(folder, { model, settings, state, merged });
  const { embeddings, head } = tiedNames(model);
  const modulesToSave = new Map<string, HostTensor>();
  for (const [name, tensor] of adapter.modulesToSave) {
    const before = await source.readWeight(name === head ? embeddings : name);
    if (before.some((value, i) => value !== tensor.data[i])) modulesToSave.set(name, tensor);
  }
  return { ...adapter, modulesToSave };
}
