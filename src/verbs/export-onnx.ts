import { fileSize, joinPath, makeFolder, writeFileAtomic } from "#platform";
import { ConfigError, HighrankError } from "../base/errors.js";
import { parseJsonObject } from "../base/json.js";
import { optionName } from "../base/naming.js";
import { PORTABLE_ENCODING } from "../compiler/lower-portable.js";
import { modelChunks, type OnnxStoredInitializer, type OnnxTensorInfo, tensorBytes } from "../compiler/onnx-model.js";
import { writeFolder } from "../files/checksums.js";
import { toJsonText } from "../files/json-file.js";
import { readHostTensor, type TensorToWrite } from "../files/lazy-tensor.js";
import { CARD } from "../files/own-card.js";
import { tensorChunks } from "../files/safetensors.js";
import { GENERATION_CONFIG } from "../formats/generation-config.js";
import { writeFiles } from "../formats/model-folder.js";
import { companionsWithTokenizer, readTokenizer } from "../loading/companions.js";
import { floatConfig } from "../loading/model-source.js";
import { requireApart } from "../loading/output-folder.js";
import type { UnmergedModel } from "../loading/unmerged-model.js";
import { countParameters, mergedTensors } from "../loading/unmerged-model.js";
import { describeModel } from "../models/architectures.js";
import { type DecoderGraph, decoderGraph } from "../programs/onnx-decoder.js";
import { type HeldWeight, heldGraph, type WeightPart } from "../programs/onnx-weights.js";
import { type RoundedBlocks, roundToBlocks } from "../quant/rounded-blocks.js";
import { Rng } from "../tensor/random.js";
import { ONNX_DTYPES, type OnnxDtype } from "./export-formats.js";
import { float32Loss, type LossData, onnxLoss } from "./export-loss.js";

/** An ONNX model in a folder, with the files of its weights. */
export interface OnnxModelFile {
  /** The model file, relative to the folder. */
  readonly model: string;
  readonly dtype: OnnxDtype;
  /** Bytes of the model and of the files of its weights. */
  readonly fileBytes: number;
  /** Files with weights beside the model. */
  readonly dataFiles: number;
  /** Its loss, as ONNX Runtime computes it; null where none was computed. */
  readonly loss: number | null;
}

/** A folder with ONNX models, written. The fields of {@link OnnxModelFile} are those of the first. */
export interface ExportedOnnx extends OnnxModelFile {
  readonly format: "onnx";
  readonly folder: string;
  /** All models; transformers.js loads the first unless it is told another dtype. */
  readonly models: readonly OnnxModelFile[];
  readonly parameters: number;
  /** The model's loss in float32 and what it is computed on, or why there is none, in words. Null if none was asked. */
  readonly float32: { readonly loss: number; readonly tokens: number; readonly data: string } | string | null;
  /** True if there is a tokenizer.json, without which transformers.js takes token ids alone. */
  readonly hasTokenizer: boolean;
  /** The quantizer of the frozen weights in training, in words; null for float32. The exact weights are written. */
  readonly quantizer: string | null;
}

export interface OnnxOptions {
  readonly out: string;
  /** At least one. */
  readonly dtypes: readonly OnnxDtype[];
  /**
   * If the weights take more bytes than this, they go into files of their own, each of at most this size. An ONNX file
   * must be smaller than 2 GiB, and browsers read no larger ones.
   */
  readonly largestFile?: number;
  /** The folder's README.md. Default: there is none. */
  readonly card?: string;
  /** Text to compute losses on. Default: none are computed. */
  readonly lossData?: () => Promise<LossData>;
}

const FOLDER = "onnx";
const TOKENIZER_CONFIG = "tokenizer_config.json";
const LARGEST_FILE = 2e9;
/** Weights in files of their own start at pages, so that they can be mapped. */
const PAGE = 4096;

/**
 * Writes the merged model as ONNX in the layout of transformers.js: a file for each dtype in onnx/, config.json, and
 * the tokenizer's files. Weights are read, merged, rounded and written one after another.
 * @throws ConfigError for two dtypes of one file.
 */
export async function exportOnnx(
  unmerged: UnmergedModel,
  { out, dtypes, largestFile = LARGEST_FILE, card, lossData }: OnnxOptions,
): Promise<ExportedOnnx> {
  const { source, baseFolder, tokenizerFolder, quantizer } = unmerged;
  requireOneEach(dtypes);
  await requireApart(out, [baseFolder, tokenizerFolder]);
  const graph = decoderGraph(describeModel(source.config).create(new Rng(0)));
  const merged = mergedTensors(unmerged, "F32");
  const tensors = new Map([...graph.weights.keys()].map((name) => [name, merged.get(name)!] as const));
  const models = dtypes.map((dtype) => modelOf(dtype, graph, tensors, largestFile));
  const files = await onnxCompanions(unmerged);
  if (card !== undefined) files.set(CARD, card);
  await writeFolder(
    out,
    async (partial) => {
      const config = toJsonText(transformersConfig(source.config, models), "config.json");
      await writeFileAtomic(joinPath(partial, "config.json"), config);
      await writeFiles(partial, files);
      const folder = joinPath(partial, FOLDER);
      await makeFolder(folder);
      for (const model of models) {
        for (const { name, content } of model.dataFiles) await writeFileAtomic(joinPath(folder, name), content());
        await writeFileAtomic(joinPath(folder, model.file), model.content());
      }
    },
    {},
  );
  const { float32, losses } = await lossesOf(unmerged, joinPath(out, FOLDER), models, lossData);
  const written = await Promise.all(
    models.map(async ({ dtype, file, dataFiles }, i): Promise<OnnxModelFile> => {
      const paths = [file, ...dataFiles.map(({ name }) => name)].map((name) => joinPath(out, FOLDER, name));
      const sizes = await Promise.all(paths.map(fileSize));
      const fileBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
      return { model: `${FOLDER}/${file}`, dtype, fileBytes, dataFiles: dataFiles.length, loss: losses[i] ?? null };
    }),
  );
  return {
    ...written[0]!,
    format: "onnx",
    folder: out,
    models: written,
    parameters: countParameters(tensors),
    float32,
    hasTokenizer: files.has("tokenizer.json"),
    quantizer,
  };
}

/** @throws ConfigError for two dtypes with one name in transformers.js. */
function requireOneEach(dtypes: readonly OnnxDtype[]): void {
  for (const dtype of dtypes) {
    const other = dtypes.find((each) => each !== dtype && ONNX_DTYPES[each].suffix === ONNX_DTYPES[dtype].suffix);
    if (other === undefined) continue;
    throw new ConfigError(
      `${optionName("dtype")}: ${other} and ${dtype} are both ${fileOf(dtype)}; choose one, ` +
        "fp16 to compute in float16 and float16 to compute in float32",
    );
  }
}

function fileOf(dtype: OnnxDtype): string {
  return `model${ONNX_DTYPES[dtype].suffix}.onnx`;
}

/** A model to write. */
interface WrittenModel {
  readonly dtype: OnnxDtype;
  readonly file: string;
  readonly dataFiles: readonly DataFile[];
  readonly inputs: readonly OnnxTensorInfo[];
  content(): AsyncGenerator<Uint8Array>;
}

function modelOf(
  dtype: OnnxDtype,
  graph: DecoderGraph,
  tensors: ReadonlyMap<string, TensorToWrite>,
  largestFile: number,
): WrittenModel {
  const { constants, weights, opsets, ...held } = heldGraph(graph, ONNX_DTYPES[dtype], PORTABLE_ENCODING.opsets);
  const stored = [...weights].flatMap(([name, weight]) => storedParts(name, weight, tensors.get(name)!));
  const file = fileOf(dtype);
  const dataFiles = placeInFiles(stored, file, largestFile);
  const external = new Map(dataFiles.flatMap(({ placed }) => placed.map((each) => [each.name, each] as const)));
  const initializers = [...constants, ...stored.map((each) => external.get(each.name) ?? each)];
  const content = () => modelChunks({ ...held, initializers }, { ...PORTABLE_ENCODING, opsets });
  return { dtype, file, dataFiles, inputs: held.inputs, content };
}

interface StoredPart extends OnnxStoredInitializer {
  readonly content: { readonly chunks: () => AsyncIterable<Uint8Array> };
}

const FILE_TYPES = { float32: "F32", float16: "F16", uint8: "U8" } as const;

/** The initializers that a weight becomes. It is read for the first, and what the next ones need of it is kept. */
function storedParts(weight: string, { bits, parts }: HeldWeight, tensor: TensorToWrite): StoredPart[] {
  let scales: Float32Array | undefined;
  const rounded = async (): Promise<RoundedBlocks> =>
    roundToBlocks((await readHostTensor(tensor)).data as Float32Array, bits as 4 | 8);
  const tensorOf = ({ holds, shape }: WeightPart): TensorToWrite => {
    if (holds === "numbers") return tensor;
    if (holds === "scales") {
      const take = async (): Promise<Float32Array> => {
        const taken = scales ?? (await rounded()).scales;
        scales = undefined;
        return taken;
      };
      return { dtype: "float32", shape, read: take };
    }
    const read = async (): Promise<Uint8Array> => {
      const blocks = await rounded();
      scales = blocks.scales;
      return blocks.codes;
    };
    return { dtype: "uint8", shape, read };
  };
  return parts.map((part) => {
    const { name, dtype, shape } = part;
    const placed = { name: weight, tensor: tensorOf(part), fileType: FILE_TYPES[dtype], isModel: true };
    return { name, dtype, shape, content: { chunks: () => tensorChunks("the ONNX model", placed) } };
  });
}

interface DataFile {
  readonly name: string;
  /** Contents of the file. */
  readonly placed: OnnxStoredInitializer[];
  content(): AsyncGenerator<Uint8Array>;
}

/**
 * Files for weights that do not fit into the model's own; none if they fit. They have the names that transformers.js
 * looks for.
 */
function placeInFiles(stored: readonly StoredPart[], modelFile: string, largestFile: number): DataFile[] {
  const total = stored.reduce((sum, part) => sum + tensorBytes(part), 0);
  if (total <= largestFile) return [];
  const files: DataFile[] = [];
  let parts: StoredPart[] = [];
  let end = Number.POSITIVE_INFINITY;
  for (const part of stored) {
    const bytes = tensorBytes(part);
    let offset = Math.ceil(end / PAGE) * PAGE;
    if (offset + bytes > largestFile) {
      const name = `${modelFile}_data${files.length === 0 ? "" : `_${files.length}`}`;
      parts = [];
      files.push(dataFile(name, parts));
      offset = 0;
    }
    const { name: location, placed } = files.at(-1)!;
    placed.push({ ...part, content: { location, offset } });
    parts.push(part);
    end = offset + bytes;
  }
  return files;
}

function dataFile(name: string, parts: readonly StoredPart[]): DataFile {
  async function* content(): AsyncGenerator<Uint8Array> {
    let end = 0;
    for (const part of parts) {
      yield new Uint8Array(Math.ceil(end / PAGE) * PAGE - end);
      yield* part.content.chunks();
      end = Math.ceil(end / PAGE) * PAGE + tensorBytes(part);
    }
  }
  return { name, placed: [], content };
}

function transformersConfig(
  config: Readonly<Record<string, unknown>>,
  models: readonly WrittenModel[],
): Record<string, unknown> {
  const external = models.filter(({ dataFiles }) => dataFiles.length > 0);
  const counts = external.map(({ file, dataFiles }) => [file, dataFiles.length]);
  const halves = models.map(({ dtype }) => ONNX_DTYPES[dtype]).filter(({ half }) => half);
  return {
    ...floatConfig(config, "float32"),
    "transformers.js_config": {
      dtype: ONNX_DTYPES[models[0]!.dtype].name,
      // Version 3 reads here what later ones read of the file.
      ...(halves.length > 0 && { kv_cache_dtype: Object.fromEntries(halves.map(({ name }) => [name, "float16"])) }),
      ...(external.length > 0 && { use_external_data_format: Object.fromEntries(counts) }),
    },
  };
}

/**
 * The files that go with the model, and those that transformers.js needs where the base has none. It reads the chat
 * template in tokenizer_config.json, transformers that in chat_template.jinja, so that both have it.
 */
async function onnxCompanions({
  source,
  baseFolder,
  tokenizerFolder,
}: UnmergedModel): Promise<Map<string, string | Uint8Array>> {
  const files = await companionsWithTokenizer(baseFolder, tokenizerFolder);
  const add = (name: string, value: unknown): void => {
    if (!files.has(name)) files.set(name, toJsonText(value, name));
  };
  const { bos_token_id, eos_token_id } = source.config;
  add(GENERATION_CONFIG, { bos_token_id, eos_token_id });
  if (!files.has("tokenizer.json")) return files;
  add(TOKENIZER_CONFIG, { tokenizer_class: "PreTrainedTokenizerFast" });
  const { chat_template } = (await readTokenizer(tokenizerFolder)).config;
  if (chat_template === undefined || chat_template === null) return files;
  const stored = files.get(TOKENIZER_CONFIG)!;
  const config = parseJsonObject(
    typeof stored === "string" ? stored : new TextDecoder().decode(stored),
    TOKENIZER_CONFIG,
  );
  files.set(TOKENIZER_CONFIG, toJsonText({ ...config, chat_template }, TOKENIZER_CONFIG));
  if (typeof chat_template === "string") files.set("chat_template.jinja", chat_template);
  return files;
}

/** The losses of the models, and that in float32. Models that lose nothing are not loaded. */
async function lossesOf(
  unmerged: UnmergedModel,
  folder: string,
  models: readonly WrittenModel[],
  lossData: OnnxOptions["lossData"],
): Promise<{ readonly float32: ExportedOnnx["float32"]; readonly losses: readonly (number | null)[] }> {
  if (lossData === undefined || models.every(({ dtype }) => dtype === "float32")) return { float32: null, losses: [] };
  try {
    const data = await lossData();
    const { loss, tokens } = await float32Loss(unmerged, data);
    const losses: (number | null)[] = [];
    for (const { dtype, file, inputs } of models) {
      losses.push(dtype === "float32" ? null : await onnxLoss(joinPath(folder, file), inputs, data));
    }
    return { float32: { loss, tokens, data: data.source }, losses };
  } catch (error) {
    // The files are there, and right without it.
    if (!(error instanceof HighrankError)) throw error;
    return { float32: error.message, losses: [] };
  }
}
