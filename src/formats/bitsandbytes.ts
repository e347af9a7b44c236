import { CheckpointError } from "../base/errors.js";
import { shortened } from "../base/json.js";
import { append } from "../base/lists.js";
import { checkpointFault } from "../files/faults.js";
import { type LazyTensor, readHostTensor } from "../files/lazy-tensor.js";
import { ELEMENT_BYTES } from "../files/safetensors-header.js";
import { StoredTensor } from "../files/stored-tensor.js";
import { FOUR_BIT_CODES, type FourBitType } from "../ops/four-bit-codes.js";
import { NESTED_BLOCK_SIZE, type NestedAbsmax } from "../quant/double-quantization.js";
import type { DType, HostTensor, TypedArray } from "../tensor/dtype.js";
import { formatShape, type Shape, sizeOf } from "../tensor/shape.js";
import { type FloatDType, formatQuantState, isMatrixShape, parseQuantState, type QuantState } from "./quant-state.js";

/** A weight (outFeatures, inFeatures) in bitsandbytes' storage layout. */
export type StoredQuantizedWeight = StoredFourBitWeight | StoredInt8Weight;

/** A weight in 4 bits per element, with a scale per block of the flattened matrix. */
export interface StoredFourBitWeight {
  readonly format: FourBitType;
  readonly shape: readonly [outFeatures: number, inFeatures: number];
  /** Elements that share a scale: a power of two from 16 to 4096. */
  readonly blockSize: number;
  /** ⌈outFeatures · inFeatures / 2⌉ bytes, element 2j in the high half of byte j. */
  readonly packed: Uint8Array;
  /** The largest magnitude of each block; nested if the scales are quantized to 8 bits themselves. */
  readonly absmax: Float32Array | NestedAbsmax;
  /** Type of the weight before quantization, to which bitsandbytes dequantizes it. */
  readonly dtype: FloatDType;
}

/** A weight in 8 bits per element, with a scale per row. */
export interface StoredInt8Weight {
  readonly format: "int8";
  readonly shape: readonly [outFeatures: number, inFeatures: number];
  readonly codes: Int8Array;
  /** The largest magnitude of each row, which is the value of code 127. */
  readonly scales: Float32Array;
}

/**
 * Makes the tensors of a quantized weight under bitsandbytes' names.
 * @param name of the weight, such as `model.layers.0.self_attn.q_proj.weight`.
 * @throws CheckpointError for a nested offset that is not finite, and for an int8 weight whose name does not end in
 * `weight`, because its scales would have no name beside it.
 */
export function bitsandbytesTensors(name: string, weight: StoredQuantizedWeight): Map<string, HostTensor> {
  return weight.format === "int8" ? int8Tensors(name, weight) : fourBitTensors(name, weight);
}

function fourBitTensors(name: string, weight: StoredFourBitWeight): Map<string, HostTensor> {
  const { format, shape, blockSize, packed, absmax, dtype } = weight;
  const nested = absmax instanceof Float32Array ? null : absmax;
  const nestedOffset = nested === null ? null : nested.offset[0]!;
  if (nestedOffset !== null && !Number.isFinite(nestedOffset)) {
    throw new CheckpointError(
      `quantized weight "${name}": the nested offset must be finite, not ${nestedOffset}; quantize finite weights`,
    );
  }
  const state = formatQuantState({ quantType: format, blockSize, dtype, shape, nestedOffset });
  const blocks = Math.ceil(sizeOf(shape) / blockSize);
  const tensors = new Map<string, HostTensor>([
    [name, uint8(packed, [Math.ceil(sizeOf(shape) / 2), 1])],
    [`${name}.absmax`, nested === null ? float32(absmax as Float32Array, [blocks]) : uint8(nested.codes, [blocks])],
    // bitsandbytes writes the second zero of FP4 without its sign.
    [
      `${name}.quant_map`,
      float32(
        FOUR_BIT_CODES[format].map((value) => value + 0),
        [16],
      ),
    ],
    [`${name}.quant_state.bitsandbytes__${format}`, uint8(state, [state.length])],
  ]);
  if (nested !== null) {
    tensors.set(`${name}.nested_absmax`, float32(nested.absmax, [Math.ceil(blocks / NESTED_BLOCK_SIZE)]));
    tensors.set(`${name}.nested_quant_map`, float32(nested.map, [256]));
  }
  return tensors;
}

function int8Tensors(name: string, { shape, codes, scales }: StoredInt8Weight): Map<string, HostTensor> {
  const layer = layerPrefix(name);
  if (layer === undefined) {
    throw new CheckpointError(`quantized weight "${name}": the name of an int8 weight must end in "weight"; rename it`);
  }
  return new Map<string, HostTensor>([
    [name, { dtype: "int8", shape, data: codes }],
    [`${layer}SCB`, float32(scales, [shape[0]])],
    [`${layer}weight_format`, uint8(new Uint8Array(1), [])],
  ]);
}

function float32(data: Float32Array, shape: Shape): HostTensor {
  return { dtype: "float32", shape, data };
}

function uint8(data: Uint8Array, shape: Shape): HostTensor {
  return { dtype: "uint8", shape, data };
}

/**
 * Finds the quantized weights among a model's tensor names, by a quant_state below them or an SCB beside them. Each
 * comes with the names of all its parts, including its own.
 */
export function quantizedWeightNames(names: Iterable<string>): Map<string, readonly string[]> {
  const all = [...names];
  const weights = new Set<string>();
  for (const name of all) {
    const fourBit = /^(.+)\.quant_state(\.|$)/.exec(name)?.[1];
    if (fourBit !== undefined) weights.add(fourBit);
    else if (/(^|\.)SCB$/.test(name)) weights.add(name.replace(/SCB$/, "weight"));
  }
  const parts = new Map([...weights].map((weight): [string, string[]] => [weight, []]));
  for (const name of all) for (const weight of possibleWeights(name)) parts.get(weight)?.push(name);
  return parts;
}

/** Possible names of a weight that a tensor of this name is part of. */
function possibleWeights(name: string): string[] {
  const weights = [name];
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) weights.push(name.slice(0, dot));
  const layer = /^(|.*\.)(?:SCB|weight_format)$/s.exec(name)?.[1];
  if (layer !== undefined) weights.push(`${layer}weight`);
  return weights;
}

/** The part before `weight` in the name of a layer's weight, with its final dot; undefined for other names. */
function layerPrefix(weight: string): string | undefined {
  return /(^|\.)weight$/.test(weight) ? weight.slice(0, -"weight".length) : undefined;
}

/**
 * Reads one quantized weight and checks all of it.
 * @param tensors by full name: its parts, or those of a whole model, of which only the parts are read. A packed weight
 * stored as floats (bitsandbytes' quant_storage) must come from an open file, whose bytes can be read unconverted.
 * @throws CheckpointError naming the weight and all its faults.
 */
export async function readBitsandbytes(
  name: string,
  tensors: ReadonlyMap<string, HostTensor | LazyTensor>,
): Promise<StoredQuantizedWeight> {
  const parts = new Parts([...tensors].filter(([part]) => possibleWeights(part).includes(name)));
  const layer = layerPrefix(name);
  const scales = layer === undefined ? undefined : `${layer}SCB`;
  const weight =
    scales !== undefined && parts.has(scales) ? await readInt8(name, scales, parts) : await readFourBit(name, parts);
  if (parts.faults.length > 0 || weight === undefined)
    throw checkpointFault(`quantized weight "${name}"`, parts.faults);
  return weight;
}

async function readFourBit(name: string, parts: Parts): Promise<StoredFourBitWeight | undefined> {
  const stateName = parts.only(`${name}.quant_state`);
  const state = stateName === undefined ? undefined : await readState(stateName, parts);
  const isNested = state === undefined ? parts.has(`${name}.nested_absmax`) : state.nestedOffset !== null;
  const names = [name, `${name}.absmax`, `${name}.quant_map`];
  if (isNested) names.push(`${name}.nested_absmax`, `${name}.nested_quant_map`);
  parts.require(names, `a 4-bit weight ${isNested ? "with" : "without"} nested scales`, `${name}.quant_state`);
  if (state === undefined) return undefined;

  const { quantType, blockSize, shape, dtype, nestedOffset } = state;
  const elements = sizeOf(shape);
  const blocks = Math.ceil(elements / blockSize);
  const packed = await parts.readBytes(name, Math.ceil(elements / 2), shape);
  const quantMap = await parts.readFinite(`${name}.quant_map`, 16);
  const misfit = quantMap?.findIndex((value, code) => value !== FOUR_BIT_CODES[quantType][code]) ?? -1;
  if (misfit >= 0) {
    const [got, wanted] = [quantMap![misfit], FOUR_BIT_CODES[quantType][misfit]];
    parts.faults.push(
      `"${name}.quant_map" must be the table of ${quantType}, but code ${misfit} is ${got}, not ${wanted}`,
    );
  }
  const absmax =
    nestedOffset === null
      ? await parts.readFinite(`${name}.absmax`, blocks)
      : await readNested(name, blocks, nestedOffset, parts);
  return packed && absmax && { format: quantType, shape, blockSize, packed, absmax, dtype };
}

/** Reads the weight's quant_state, whose name ends in the format. */
async function readState(stateName: string, parts: Parts): Promise<QuantState | undefined> {
  const announced = /\.bitsandbytes__(nf4|fp4)$/.exec(stateName)?.[1];
  if (announced === undefined) {
    parts.faults.push(
      `"${stateName}" must end in bitsandbytes__nf4 or bitsandbytes__fp4; no other format is supported`,
    );
    return undefined;
  }
  const bytes = await parts.read(stateName, "uint8");
  const state = bytes && parseQuantState(bytes as Uint8Array, parts.faults);
  if (state !== undefined && state.quantType !== announced) {
    parts.faults.push(`"${stateName}" says quant_type ${state.quantType}, its name ${announced}`);
    return undefined;
  }
  return state;
}

async function readNested(
  name: string,
  blocks: number,
  offset: number,
  parts: Parts,
): Promise<NestedAbsmax | undefined> {
  const codes = await parts.read(`${name}.absmax`, "uint8", blocks);
  const absmax = await parts.readFinite(`${name}.nested_absmax`, Math.ceil(blocks / NESTED_BLOCK_SIZE));
  const map = await parts.readFinite(`${name}.nested_quant_map`, 256);
  const fall = map?.findIndex((value, code) => code > 0 && value <= map[code - 1]!) ?? -1;
  if (fall >= 0) {
    parts.faults.push(
      `"${name}.nested_quant_map" must rise, but goes from ${map![fall - 1]} to ${map![fall]} at ${fall}`,
    );
  }
  return codes && absmax && map && { codes: codes as Uint8Array, absmax, offset: Float32Array.of(offset), map };
}

/** Element orders written by versions of bitsandbytes, by weight_format. */
const WEIGHT_FORMATS: readonly string[] = ["row", "col32", "col_turing", "col_ampere"];

async function readInt8(name: string, scalesName: string, parts: Parts): Promise<StoredInt8Weight | undefined> {
  const formatName = scalesName.replace(/SCB$/, "weight_format");
  // If weight_format is missing, bitsandbytes assumes rows.
  parts.require(parts.has(formatName) ? [name, scalesName, formatName] : [name, scalesName], "an int8 weight");
  const order = (await parts.read(formatName, "uint8", 1))?.[0] ?? 0;
  if (order !== 0) {
    parts.faults.push(
      `"${formatName}" is ${order} (${WEIGHT_FORMATS[order] ?? "unknown"}), supported is 0 (row); ` +
        "load and save it in the version of bitsandbytes that wrote it",
    );
  }
  const shape = parts.shapeOf(name);
  if (shape === undefined) return undefined;
  if (!isMatrixShape(shape)) {
    parts.faults.push(`"${name}" must have a shape of two positive integers, not ${formatShape(shape)}`);
    return undefined;
  }
  const codes = await parts.read(name, "int8");
  const scales = await parts.readFinite(scalesName, shape[0]);
  return codes && scales && { format: "int8", shape, codes: codes as Int8Array, scales };
}

/** The tensors that make up one weight, and their faults. Sizes are checked before anything is read. */
class Parts {
  readonly faults: string[] = [];
  readonly #tensors: ReadonlyMap<string, HostTensor | LazyTensor>;

  constructor(tensors: Iterable<readonly [string, HostTensor | LazyTensor]>) {
    this.#tensors = new Map(tensors);
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  shapeOf(name: string): Shape | undefined {
    return this.#tensors.get(name)?.shape;
  }

  /** The name of the one part below `prefix`. Having none or several is a fault. */
  only(prefix: string): string | undefined {
    const names = [...this.#tensors.keys()].filter((name) => name.startsWith(prefix));
    if (names.length === 1) return names[0];
    const found = names.length === 0 ? "none" : shortened(names.join(" and "), 200);
    this.faults.push(`there must be one ${prefix}.bitsandbytes__nf4 or __fp4, but there is ${found}`);
    return undefined;
  }

  /** Adds a fault for each missing part and each extra one; names below `checked` are skipped. */
  require(names: readonly string[], of: string, checked?: string): void {
    for (const name of names) if (!this.has(name)) this.faults.push(`"${name}" is missing`);
    for (const name of this.#tensors.keys()) {
      if (names.includes(name) || (checked !== undefined && name.startsWith(checked))) continue;
      this.faults.push(`"${name}" is no part of ${of}`);
    }
  }

  /** Elements of a part; undefined if it is missing. Another dtype or length is a fault. */
  async read(name: string, dtype: DType, length?: number): Promise<TypedArray | undefined> {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) return undefined;
    const faults: string[] = [];
    if (tensor.dtype !== dtype) faults.push(`"${name}" must be ${dtype}, not ${tensor.dtype}`);
    if (length !== undefined && sizeOf(tensor.shape) !== length) {
      faults.push(`"${name}" must have ${length} elements, not ${sizeOf(tensor.shape)}`);
    }
    append(this.faults, faults);
    return faults.length > 0 ? undefined : (await readHostTensor(tensor)).data;
  }

  /** Like `read`, for float32. Numbers that are not finite are a fault. */
  async readFinite(name: string, length: number): Promise<Float32Array | undefined> {
    const values = (await this.read(name, "float32", length)) as Float32Array | undefined;
    const index = values?.findIndex((value) => !Number.isFinite(value)) ?? -1;
    if (index >= 0) this.faults.push(`"${name}" must be finite, but holds ${values![index]} at ${index}`);
    return values;
  }

  /** Bytes of a packed weight of this shape, whatever their element type. */
  async readBytes(name: string, length: number, shape: Shape): Promise<Uint8Array | undefined> {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) return undefined;
    const isStored = tensor instanceof StoredTensor;
    if (!isStored && tensor.dtype !== "uint8") {
      this.faults.push(
        `"${name}" must be uint8, not ${tensor.dtype}; of another type, it can be read from an open file`,
      );
      return undefined;
    }
    const byteLength = sizeOf(tensor.shape) * (isStored ? ELEMENT_BYTES[tensor.fileType] : 1);
    if (byteLength !== length) {
      this.faults.push(`"${name}" of shape ${formatShape(shape)} must be packed in ${length} bytes, not ${byteLength}`);
      return undefined;
    }
    return isStored ? tensor.readBytes() : ((await readHostTensor(tensor)).data as Uint8Array);
  }
}
