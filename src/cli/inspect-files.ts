import { exists, isDirectory, joinPath, listFolder, readText } from "#platform";
import { readJsonObject } from "../checkpoints/json-file.js";
import { weightFiles } from "../checkpoints/model-folder.js";
import { isPickleName, pickleError } from "../checkpoints/pickle.js";
import { readSafetensorsHeader, type SafetensorsEntry } from "../checkpoints/safetensors-header.js";
import { CheckpointError } from "../tensor/errors.js";
import type { EndRecord, EvalRecord, MergeRecord, StartRecord } from "../training/metrics.js";
import { parseMetrics } from "../training/metrics.js";

/** A tensor as a file declares it. */
export type TensorInfo = Pick<SafetensorsEntry, "name" | "dtype" | "shape">;

/** Tensors in the order of their names, and how many numbers they hold. */
export interface TensorList {
  readonly parameters: number;
  readonly tensors: readonly TensorInfo[];
}

/** What `inspect` found at a path. Only headers of weight files are read. */
export type Inspection =
  | ({ readonly kind: "safetensors"; readonly metadata: Readonly<Record<string, string>> } & TensorList)
  | ({ readonly kind: "model"; readonly config: Readonly<Record<string, unknown>> } & TensorList)
  | ({ readonly kind: "adapter"; readonly config: Readonly<Record<string, unknown>> } & TensorList)
  | RunInspection;

/** A run folder's state, as its metrics tell it. Missing records are null. */
export interface RunInspection {
  readonly kind: "run";
  readonly start: StartRecord | null;
  readonly step: number;
  readonly tokens: number;
  readonly firstEval: EvalRecord | null;
  readonly lastEval: EvalRecord | null;
  readonly merges: readonly MergeRecord[];
  readonly skippedSteps: number;
  readonly end: EndRecord | null;
  readonly checkpoints: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Recognises what lies at the path and reads what it says of itself. @throws CheckpointError where it is nothing we know. */
export async function inspectPath(path: string): Promise<Inspection> {
  if (!(await exists(path))) throw new CheckpointError(`${path}: there is no such file or folder; check the path`);
  if (!(await isDirectory(path))) {
    if (isPickleName(path)) throw pickleError(path, [path]);
    const { entries, metadata } = await readSafetensorsHeader(path);
    return { kind: "safetensors", metadata, ...tensorList(entries) };
  }
  const has = (name: string): Promise<boolean> => exists(joinPath(path, name));
  if (await has("metrics.jsonl")) return inspectRun(path);
  if (await has("adapter_config.json")) {
    const config = await readJsonObject(joinPath(path, "adapter_config.json"));
    const { entries } = await readSafetensorsHeader(joinPath(path, "adapter_model.safetensors"));
    return { kind: "adapter", config, ...tensorList(entries) };
  }
  if (await has("config.json")) {
    const config = await readJsonObject(joinPath(path, "config.json"));
    const entries: SafetensorsEntry[] = [];
    for (const [file, names] of await weightFiles(path)) {
      const wanted = new Set(names);
      entries.push(...(await readSafetensorsHeader(file)).entries.filter(({ name }) => wanted.has(name)));
    }
    return { kind: "model", config, ...tensorList(entries) };
  }
  throw new CheckpointError(
    `${path} is none of what can be inspected: a run folder (metrics.jsonl), an adapter (adapter_config.json), ` +
      "a model folder (config.json), or a .safetensors file",
  );
}

function tensorList(entries: readonly SafetensorsEntry[]): TensorList {
  const tensors = entries
    .map(({ name, dtype, shape }) => ({ name, dtype, shape }))
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return { parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0), tensors };
}

/** Elements of a tensor of this shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

async function inspectRun(folder: string): Promise<RunInspection> {
  const path = joinPath(folder, "metrics.jsonl");
  const records = parseMetrics(await readText(path), path);
  const evals = records.filter((record) => record.kind === "eval");
  const last = records.findLast((record) => record.kind === "step");
  const configPath = joinPath(folder, "config.resolved.json");
  const settings = (await exists(configPath)) ? await readJsonObject(configPath) : {};
  return {
    kind: "run",
    start: records.find((record) => record.kind === "start") ?? null,
    step: last?.step ?? 0,
    tokens: last?.tokens ?? 0,
    firstEval: evals[0] ?? null,
    lastEval: evals.at(-1) ?? null,
    merges: records.filter((record) => record.kind === "merge"),
    skippedSteps: records.filter((record) => record.kind === "skip").length,
    end: records.findLast((record) => record.kind === "end") ?? null,
    checkpoints: (await listFolder(folder)).filter((name) => /^checkpoint-\d+$/.test(name)),
    settings,
  };
}
