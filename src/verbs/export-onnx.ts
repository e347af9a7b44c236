import { fileSize, joinPath, makeFolder, writeFileAtomic } from "#platform";
import { PORTABLE_ENCODING } from "../compiler/lower-portable.js";
import { modelChunks, type OnnxNode, type OnnxStoredInitializer, tensorBytes } from "../compiler/onnx-model.js";
import { writeFolder } from "../files/checksums.js";
import { toJsonText } from "../files/json-file.js";
import type { TensorToWrite } from "../files/lazy-tensor.js";
import { tensorChunks } from "../files/safetensors.js";
import { GENERATION_CONFIG } from "../formats/generation-config.js";
import { writeFiles } from "../formats/model-folder.js";
import { companionsWithTokenizer } from "../loading/companions.js";
import { floatConfig } from "../loading/model-source.js";
import { requireApart } from "../loading/output-folder.js";
import type { UnmergedModel } from "../loading/unmerged-model.js";
import { countParameters, mergedTensors } from "../loading/unmerged-model.js";
import { describeModel } from "../models/architectures.js";
import { decoderGraph } from "../programs/onnx-decoder.js";
import { Rng } from "../tensor/random.js";

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
  /** True if there is a tokenizer.json, without which transformers.js takes token ids alone. */
  readonly hasTokenizer: boolean;
  /** The quantizer of the frozen weights, in words; null for float32. The file holds float weights all the same. */
  readonly quantizer: string | null;
}

export interface OnnxOptions {
  readonly out: string;
  readonly dtype: ExportedOnnx["dtype"];
  /**
   * If the weights take more bytes than this, they go into files of their own, each of at most this size. An ONNX file
   * must be smaller than 2 GiB, and browsers read no larger ones.
   */
  readonly largestFile?: number;
}

const FOLDER = "onnx";
const LARGEST_FILE = 2e9;
/** TensorProto.DataType, as Cast takes it. */
const FLOAT32 = 1;
/** Weights in files of their own start at pages, so that they can be mapped. */
const PAGE = 4096;

/**
 * Writes the merged model as ONNX in the layout of transformers.js: onnx/model.onnx (model_fp16.onnx for float16),
 * config.json, and the tokenizer's files. Weights are read, merged and written one after another.
 */
export async function exportOnnx(
  unmerged: UnmergedModel,
  { out, dtype, largestFile = LARGEST_FILE }: OnnxOptions,
): Promise<ExportedOnnx> {
  const { source, baseFolder, tokenizerFolder, quantizer } = unmerged;
  await requireApart(out, [baseFolder, tokenizerFolder]);
  const { constants, weights, ...graph } = decoderGraph(describeModel(source.config).create(new Rng(0)));
  const merged = mergedTensors(unmerged, "F32");
  const tensors = new Map([...weights.keys()].map((name) => [name, merged.get(name)!] as const));
  const stored = [...tensors].map(([name, tensor]) => storedWeight(name, tensor, dtype));
  const casts = stored.flatMap(({ cast }) => cast ?? []);
  const file = `model${dtype === "float16" ? "_fp16" : ""}.onnx`;
  const dataFiles = placeInFiles(stored, file, largestFile);
  const config = transformersConfig(source.config, dtype, file, dataFiles.length);
  const files = onnxCompanions(await companionsWithTokenizer(baseFolder, tokenizerFolder), source.config);
  await writeFolder(
    out,
    async (partial) => {
      await writeFileAtomic(joinPath(partial, "config.json"), toJsonText(config, "config.json"));
      await writeFiles(partial, files);
      const folder = joinPath(partial, FOLDER);
      await makeFolder(folder);
      for (const { name, content } of dataFiles) await writeFileAtomic(joinPath(folder, name), content());
      const external = new Map(dataFiles.flatMap(({ placed }) => placed.map((each) => [each.name, each] as const)));
      const initializers = stored.map(({ initializer }) => external.get(initializer.name) ?? initializer);
      const model = { ...graph, nodes: [...casts, ...graph.nodes], initializers: [...constants, ...initializers] };
      await writeFileAtomic(joinPath(folder, file), modelChunks(model, PORTABLE_ENCODING));
    },
    {},
  );
  const written = [file, ...dataFiles.map(({ name }) => name)].map((name) => fileSize(joinPath(out, FOLDER, name)));
  return {
    format: "onnx",
    folder: out,
    model: `${FOLDER}/${file}`,
    dtype,
    parameters: countParameters(tensors),
    fileBytes: (await Promise.all(written)).reduce((sum, bytes) => sum + bytes, 0),
    dataFiles: dataFiles.length,
    hasTokenizer: files.has("tokenizer.json"),
    quantizer,
  };
}

interface StoredWeight {
  readonly initializer: OnnxStoredInitializer & {
    readonly content: { readonly chunks: () => AsyncIterable<Uint8Array> };
  };
  /** Converts the weight to float32, in which everything is computed. */
  readonly cast?: OnnxNode;
}

/** Only matrices become float16: small tensors are not worth their rounding. */
function storedWeight(name: string, tensor: TensorToWrite, dtype: ExportedOnnx["dtype"]): StoredWeight {
  const { shape } = tensor;
  const content = (fileType: "F32" | "F16") => ({
    chunks: () => tensorChunks("the ONNX model", { name, tensor, fileType, isModel: true }),
  });
  if (dtype === "float32" || shape.length < 2) {
    return { initializer: { name, dtype: "float32", shape, content: content("F32") } };
  }
  const half = `${name}.float16`;
  return {
    initializer: { name: half, dtype, shape, content: content("F16") },
    cast: { opType: "Cast", inputs: [half], outputs: [name], attributes: { to: { int: FLOAT32 } } },
  };
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
function placeInFiles(stored: readonly StoredWeight[], modelFile: string, largestFile: number): DataFile[] {
  const total = stored.reduce((sum, { initializer }) => sum + tensorBytes(initializer), 0);
  if (total <= largestFile) return [];
  const files: DataFile[] = [];
  let parts: StoredWeight[] = [];
  let end = Number.POSITIVE_INFINITY;
  for (const weight of stored) {
    const bytes = tensorBytes(weight.initializer);
    let offset = Math.ceil(end / PAGE) * PAGE;
    if (offset + bytes > largestFile) {
      const name = `${modelFile}_data${files.length === 0 ? "" : `_${files.length}`}`;
      parts = [];
      files.push(dataFile(name, parts));
      offset = 0;
    }
    const { name: location, placed } = files.at(-1)!;
    placed.push({ ...weight.initializer, content: { location, offset } });
    parts.push(weight);
    end = offset + bytes;
  }
  return files;
}

function dataFile(name: string, parts: readonly StoredWeight[]): DataFile {
  async function* content(): AsyncGenerator<Uint8Array> {
    let end = 0;
    for (const { initializer } of parts) {
      yield new Uint8Array(Math.ceil(end / PAGE) * PAGE - end);
      yield* initializer.content.chunks();
      end = Math.ceil(end / PAGE) * PAGE + tensorBytes(initializer);
    }
  }
  return { name, placed: [], content };
}

function transformersConfig(
  config: Readonly<Record<string, unknown>>,
  dtype: ExportedOnnx["dtype"],
  file: string,
  dataFiles: number,
): Record<string, unknown> {
  return {
    ...floatConfig(config, "float32"),
    "transformers.js_config": {
      dtype: dtype === "float16" ? "fp16" : "fp32",
      ...(dataFiles > 0 && { use_external_data_format: { [file]: dataFiles } }),
    },
  };
}

/** The files that go with the model, and those that transformers.js needs where the base has none. */
function onnxCompanions(
  files: Map<string, string | Uint8Array>,
  { bos_token_id, eos_token_id }: Readonly<Record<string, unknown>>,
): Map<string, string | Uint8Array> {
  const add = (name: string, value: unknown): void => {
    if (!files.has(name)) files.set(name, toJsonText(value, name));
  };
  add(GENERATION_CONFIG, { bos_token_id, eos_token_id });
  if (files.has("tokenizer.json")) add("tokenizer_config.json", { tokenizer_class: "PreTrainedTokenizerFast" });
  return files;
}
