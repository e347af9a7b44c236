import { fileSize, joinPath } from "#platform";
import { linearLayers } from "../adapters/inject.js";
import { CheckpointError } from "../base/errors.js";
import type { TensorToWrite } from "../files/lazy-tensor.js";
import { CARD } from "../files/own-card.js";
import { ELEMENT_BYTES } from "../files/safetensors-header.js";
import { bitsandbytesTensors, type StoredQuantizedWeight } from "../formats/bitsandbytes.js";
import { weightFiles } from "../formats/model-folder.js";
import type { FloatDType } from "../formats/quant-state.js";
import { quantizationConfig } from "../formats/quantization-config.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { companionFiles } from "../loading/companions.js";
import { folderSource } from "../loading/folder-source.js";
import { writeModel } from "../loading/model-source.js";
import { requireNewFolder } from "../loading/output-folder.js";
import { QuantizationTotal, type QuantizedLayer } from "../loading/quantization-error.js";
import { quantizerOfModel, quantizeWeight } from "../loading/quantizing.js";
import { FourBitWeight } from "../quant/four-bit-weight.js";
import type { Int8Weight } from "../quant/int8-weight.js";
import type { QuantizedWeight } from "../quant/quantized-weight.js";
import type { Quantizer } from "../quant/quantizer.js";
import { describeQuantizer } from "../quant/quantizer.js";
import type { TypedArray } from "../tensor/dtype.js";
import { openTarget } from "./target.js";
import { hasChatTemplate, targetCard } from "./target-card.js";

/** Options of {@link quantizeModel}. */
export interface QuantizationOptions extends DownloadEvents {
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  readonly quantizer: Quantizer;
}

export interface BeforeAndAfter {
  readonly before: number;
  readonly after: number;
}

/** The result of quantizing a model folder. */
export interface ModelQuantization {
  readonly modelFolder: string;
  /** The quantizer in words, such as `nf4 in blocks of 64`. */
  readonly quantizer: string;
  /** ‖W − dequantized‖ / ‖W‖ over all layers, Frobenius norms. */
  readonly relativeError: number;
  readonly layers: readonly QuantizedLayer[];
  /** Bytes of the layers' weights as they were stored, and of their codes and scales. */
  readonly layerBytes: BeforeAndAfter;
  /** Bytes of all files with weights. */
  readonly fileBytes: BeforeAndAfter;
}

/** bitsandbytes' names of the file types that weights are quantized from; others count as float32. */
const FLOAT_TYPES: Readonly<Record<string, FloatDType>> = { F32: "float32", BF16: "bfloat16", F16: "float16" };

/**
 * Quantizes the linear layers of a Hugging Face model, a folder or of the hub by name, into a new folder in
 * bitsandbytes' layout. Embeddings, head and norms keep their bytes. Weights are read one at a time, twice: to
 * measure the error and keep the scales, then to write the codes.
 * @throws ConfigError if `out` holds files already; CheckpointError, before anything is written, if the folder is no
 * float model or a weight is not finite.
 */
export async function quantizeModel(
  named: string,
  { out, quantizer, onDownload, onNotice }: QuantizationOptions,
): Promise<ModelQuantization> {
  await requireNewFolder(out, [named]);
  const target = await openTarget(named, { base: null, onDownload, onNotice });
  const { kind, folder } = target;
  if (kind === "run") {
    throw new CheckpointError(
      `${folder} is a run folder; quantize its ${joinPath(folder, "model")}, or merge it first`,
    );
  }
  if (kind === "adapter") throw new CheckpointError(`${folder} is a PEFT adapter; merge it into its base first`);
  const source = await folderSource(folder, { onNotice });
  const model = source.build();
  const present = quantizerOfModel(model);
  if (present !== null) {
    throw new CheckpointError(
      `${folder} is quantized already (${describeQuantizer(present)}); quantize the float model that it came from, ` +
        "or turn it into a float model with merge",
    );
  }
  const { config, tensors: floats } = source;
  const tensors = new Map<string, TensorToWrite>(floats);
  const total = new QuantizationTotal();
  let floatBytes = 0;
  let computeDtype: FloatDType | undefined;
  for (const [layer, { linear }] of linearLayers(model)) {
    const name = `${layer}.weight`;
    const fileType = floats.get(name)!.fileType ?? "F32";
    const dtype = FLOAT_TYPES[fileType] ?? "float32";
    const quantize = (values: Float32Array): QuantizedWeight =>
      quantizeWeight(name, values, [linear.outFeatures, linear.inFeatures], quantizer);
    const values = await source.readWeight(name);
    const weight = quantize(values);
    total.add(layer, values, weight);
    floatBytes += weight.size * ELEMENT_BYTES[fileType];
    computeDtype ??= dtype;
    for (const [part, tensor] of bitsandbytesTensors(name, storedWeight(weight, dtype))) {
      const read = async (): Promise<TypedArray> => codesOf(quantize(await source.readWeight(name)));
      tensors.set(part, part === name ? { dtype: tensor.dtype, shape: tensor.shape, read } : tensor);
    }
  }
  const { format, doubleQuant } = quantizer;
  const announced = { format, doubleQuant, computeDtype: computeDtype ?? "float32", skippedModules: null };
  const form = { kind: "model", isQuantized: true, isChat: await hasChatTemplate(folder) } as const;
  const card = await targetCard(target, form);
  await writeModel(out, {
    config: { ...config, quantization_config: quantizationConfig(announced) },
    tensors,
    files: new Map<string, string | Uint8Array>([...(await companionFiles(folder)), [CARD, card]]),
  });
  const { bytes, ...errors } = total.result;
  return {
    modelFolder: out,
    quantizer: describeQuantizer(quantizer),
    ...errors,
    layerBytes: { before: floatBytes, after: bytes },
    fileBytes: { before: await weightBytes(folder), after: await weightBytes(out) },
  };
}

/** The weight as bitsandbytes stores it, sharing its arrays. */
function storedWeight(weight: QuantizedWeight, dtype: FloatDType): StoredQuantizedWeight {
  if (weight instanceof FourBitWeight) {
    const { shape, arrays, quantizer } = weight;
    return { format: quantizer.format, shape, blockSize: quantizer.blockSize, ...arrays, dtype };
  }
  const { shape, arrays } = weight as Int8Weight;
  return { format: "int8", shape, ...arrays };
}

function codesOf(weight: QuantizedWeight): TypedArray {
  return weight instanceof FourBitWeight ? weight.arrays.packed : (weight as Int8Weight).arrays.codes;
}

/** Bytes of the files that hold a model folder's weights. */
async function weightBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const path of (await weightFiles(folder)).keys()) bytes += await fileSize(path);
  return bytes;
}
