import { exists, extension, folderOf, isDirectory, joinPath, listFolder, readText } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { append } from "../base/lists.js";
import { readJsonObject } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { isPickleName, pickleError } from "../files/pickle.js";
import {
  readSafetensorsHeader,
  type SafetensorsDType,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "../files/safetensors-header.js";
import { StoredTensor } from "../files/stored-tensor.js";
import { quantizedWeightNames } from "../formats/bitsandbytes.js";
import { weightFiles } from "../formats/model-folder.js";
import { type OnnxHeader, readOnnxHeader } from "../formats/onnx-header.js";
import { parseQuantState } from "../formats/quant-state.js";
import { openGguf } from "../gguf/open-gguf.js";
import type { GgufTypeName, GgufValue } from "../gguf/types.js";
import type { QuantizationFormat } from "../quant/quantizer.js";
import type { EndRecord, EvalRecord, MergeRecord, StartRecord } from "../runs/metrics.js";
import { parseMetrics } from "../runs/metrics.js";

/** A tensor as a file declares it. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: SafetensorsDType | GgufTypeName;
  readonly shape: readonly number[];
}

/** Tensors in the order of their names, and how many numbers they hold. */
export interface TensorList {
  /** A quantized weight counts with the elements that it stands for. */
  readonly parameters: number;
  /** Without the parts of quantized weights. */
  readonly tensors: readonly TensorInfo[];
  readonly quantized: readonly QuantizedInfo[];
}

/** A quantized weight in bitsandbytes' layout, as its quant_state or its header declares it. */
export interface QuantizedInfo {
  readonly name: string;
  readonly format: QuantizationFormat;
  /** Elements that share a scale; null for int8, which has a scale for each row. */
  readonly blockSize: number | null;
  /** True if the scales are quantized themselves. */
  readonly doubleQuant: boolean;
  readonly shape: readonly number[];
  /** Bits of codes and scales for each weight, without the tables, which are always of the same size. */
  readonly bitsPerWeight: number;
}

/** The result of `inspect` on a path. Only headers of weight files are read. */
export type Inspection =
  | ({ readonly kind: "safetensors"; readonly metadata: Readonly<Record<string, string>> } & TensorList)
  | ({ readonly kind: "model"; readonly config: Readonly<Record<string, unknown>> } & TensorList)
  | ({
      readonly kind: "adapter";
      readonly config: Readonly<Record<string, unknown>>;
      readonly metadata: Readonly<Record<string, string>>;
    } & TensorList)
  | GgufInspection
  | OnnxInspection
  | RunInspection;

/** A GGUF file, or all parts of one. */
export interface GgufInspection {
  readonly kind: "gguf";
  readonly version: number;
  /** The value of each key; a text in place of a long list. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly parameters: number;
  /** In the order of their names. */
  readonly tensors: readonly TensorInfo[];
  /** Sizes of the tensors of each type, the largest first. */
  readonly types: readonly GgufTypeShare[];
  readonly files: readonly string[];
  readonly fileBytes: number;
}

/** The tensors of one type in a GGUF file. */
export interface GgufTypeShare {
  readonly type: GgufTypeName;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

/** An ONNX model, by itself or in a folder as transformers.js loads it. */
export interface OnnxInspection extends Omit<OnnxHeader, "initializers"> {
  readonly kind: "onnx";
  /** config.json of the folder; null for a file by itself. */
  readonly config: Readonly<Record<string, unknown>> | null;
  /** The file that was read, and others beside it. */
  readonly model: string;
  readonly otherModels: readonly string[];
  /** Numbers that the initializers hold, constants of the graph included. */
  readonly parameters: number;
  readonly initializers: OnnxHeader["initializers"];
}

/** A run folder's state according to its metrics. Missing records are null. */
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

/**
 * Recognizes what lies at the path and reads its description of itself. @throws CheckpointError for anything unknown.
 */
export async function inspectPath(path: string): Promise<Inspection> {
  if (!(await exists(path))) throw new CheckpointError(`${path}: there is no such file or folder; check the path`);
  if (!(await isDirectory(path))) {
    if (isPickleName(path)) throw pickleError(path, [path]);
    if (extension(path) === ".onnx") return inspectOnnx(path, null, []);
    if (extension(path) === ".gguf") return inspectGguf(path);
    const { metadata, ...header } = await readSafetensorsHeader(path);
    return { kind: "safetensors", metadata, ...(await tensorList([{ path, ...header }])) };
  }
  const has = (name: string): Promise<boolean> => exists(joinPath(path, name));
  if (await has("metrics.jsonl")) return inspectRun(path);
  if (await has("adapter_config.json")) {
    const config = await readJsonObject(await checkpointPath(path, "adapter_config.json"));
    const weights = await checkpointPath(path, "adapter_model.safetensors");
    const { metadata, ...header } = await readSafetensorsHeader(weights);
    return { kind: "adapter", config, metadata, ...(await tensorList([{ path: weights, ...header }])) };
  }
  if (await has("config.json")) {
    const config = await readJsonObject(await checkpointPath(path, "config.json"));
    const models = await onnxModels(path);
    if (models.length > 0) {
      return inspectOnnx(await checkpointPath(path, `onnx/${models[0]}`), config, models.slice(1));
    }
    const files: WeightFile[] = [];
    for (const [file, names] of await weightFiles(path)) {
      const wanted = new Set(names);
      const { entries, fileBytes } = await readSafetensorsHeader(file);
      files.push({ path: file, fileBytes, entries: entries.filter(({ name }) => wanted.has(name)) });
    }
    return { kind: "model", config, ...(await tensorList(files)) };
  }
  throw new CheckpointError(
    `${path} cannot be inspected; it must be a run folder (metrics.jsonl), an adapter (adapter_config.json), ` +
      "a model folder (config.json), or a .safetensors, .gguf or .onnx file",
  );
}

/**
 * The models in the folder that transformers.js looks into, model.onnx first; none where there are weights of another
 * format.
 */
async function onnxModels(folder: string): Promise<string[]> {
  const hasWeights = (await listFolder(folder)).some((name) => name.endsWith(".safetensors"));
  const models = await checkpointPath(folder, "onnx");
  if (hasWeights || !(await isDirectory(models))) return [];
  return (await listFolder(models)).filter((name) => name.endsWith(".onnx")).sort();
}

async function inspectOnnx(
  model: string,
  config: OnnxInspection["config"],
  otherModels: readonly string[],
): Promise<OnnxInspection> {
  const header = await readOnnxHeader(model);
  const parameters = header.initializers.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { kind: "onnx", config, model, otherModels, parameters, ...header };
}

async function inspectGguf(path: string): Promise<GgufInspection> {
  const { version, metadata, tensors: stored, parts, fileBytes } = await openGguf(path);
  const types = new Map<GgufTypeName, GgufTypeShare>();
  const tensors: TensorInfo[] = [];
  for (const [name, { shape, type, byteLength }] of stored) {
    tensors.push({ name, dtype: type.name, shape });
    const { tensors: count = 0, parameters = 0, bytes = 0 } = types.get(type.name) ?? {};
    types.set(type.name, {
      type: type.name,
      tensors: count + 1,
      parameters: parameters + elementCount(shape),
      bytes: bytes + byteLength,
    });
  }
  return {
    kind: "gguf",
    version,
    metadata: Object.fromEntries([...metadata].map(([key, value]) => [key, plainValue(value)])),
    parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    tensors: tensors.sort(byName),
    types: [...types.values()].sort((a, b) => b.bytes - a.bytes),
    files: [...parts.keys()],
    fileBytes,
  };
}

function plainValue(value: GgufValue): unknown {
  if (value.type !== "array") return value.value;
  const plain = (item: unknown): unknown => (isObject(item) ? plainValue(item as unknown as GgufValue) : item);
  return value.items?.map(plain) ?? `a list of ${value.count} values of type ${value.of}`;
}

interface WeightFile extends Pick<SafetensorsHeader, "entries" | "fileBytes"> {
  readonly path: string;
}

/** A tensor and the file that it is in. */
interface FiledEntry {
  readonly entry: SafetensorsEntry;
  readonly file: WeightFile;
}

async function tensorList(files: readonly WeightFile[]): Promise<TensorList> {
  const entries = files.flatMap((file) => file.entries);
  const filed = new Map<string, FiledEntry>();
  for (const file of files) for (const entry of file.entries) filed.set(entry.name, { entry, file });
  const parts = new Set<string>();
  const quantized: QuantizedInfo[] = [];
  const faults: string[] = [];
  for (const [weight, names] of quantizedWeightNames(entries.map(({ name }) => name))) {
    for (const name of names) parts.add(name);
    const info = await quantizedInfo(
      weight,
      names.map((name) => filed.get(name)!),
      faults,
    );
    if (info !== undefined) quantized.push(info);
  }
  if (faults.length > 0) throw new CheckpointError(`${folderOf(files[0]!.path)}:\n${faults.join("\n")}`);
  const tensors = entries
    .filter(({ name }) => !parts.has(name))
    .map(({ name, dtype, shape }) => ({ name, dtype, shape }))
    .sort(byName);
  const parameters = [...tensors, ...quantized].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { parameters, tensors, quantized: quantized.sort(byName) };
}

function byName<T extends { readonly name: string }>(a: T, b: T): number {
  return a.name.localeCompare(b.name, "en", { numeric: true });
}

/** The description of a quantized weight by its parts; null where they have faults, which are added to `faults`. */
async function quantizedInfo(
  name: string,
  parts: readonly FiledEntry[],
  faults: string[],
): Promise<QuantizedInfo | undefined> {
  const bits = (shape: readonly number[]): number => {
    const kept = parts.filter(({ entry }) => !/quant_map$|quant_state|weight_format$/.test(entry.name));
    return (8 * kept.reduce((sum, { entry }) => sum + entry.byteLength, 0)) / elementCount(shape);
  };
  const state = parts.find(({ entry }) => entry.name.startsWith(`${name}.quant_state`));
  if (state === undefined) {
    const codes = parts.find(({ entry }) => entry.name === name);
    if (codes === undefined) {
      faults.push(`quantized weight "${name}": "${name}" is missing`);
      return undefined;
    }
    const { shape } = codes.entry;
    return { name, format: "int8", blockSize: null, doubleQuant: false, shape, bitsPerWeight: bits(shape) };
  }
  const found: string[] = [];
  const stored = new StoredTensor(state.file.path, state.file.fileBytes, state.entry);
  const parsed = parseQuantState(await stored.readBytes(), found);
  append(
    faults,
    found.map((fault) => `quantized weight "${name}": ${fault}`),
  );
  if (parsed === undefined) return undefined;
  const { quantType: format, blockSize, shape, nestedOffset } = parsed;
  return { name, format, blockSize, doubleQuant: nestedOffset !== null, shape, bitsPerWeight: bits(shape) };
}

/** Elements of a tensor of this shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

async function inspectRun(folder: string): Promise<RunInspection> {
  const path = await checkpointPath(folder, "metrics.jsonl");
  const records = parseMetrics(await readText(path), path);
  const evals = records.filter((record) => record.kind === "eval");
  const last = records.findLast((record) => record.kind === "step");
  const configPath = await checkpointPath(folder, "config.resolved.json");
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
