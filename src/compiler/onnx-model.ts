import { DTypeError, ShapeError } from "../base/errors.js";
import { sizeOf } from "../tensor/shape.js";
import { checkedInt64, type DeferredBytes, MessageWriter } from "./onnx-protobuf.js";

/** Element types that a model may name: more than the library's tensors have, because lowering casts. */
export type OnnxDType =
  | "float32"
  | "int32"
  | "int64"
  | "int8"
  | "uint8"
  | "uint16"
  | "uint32"
  | "bool"
  | "float16"
  | "bfloat16";

export type OnnxData = Float32Array | Int32Array | BigInt64Array | Int8Array | Uint8Array | Uint16Array | Uint32Array;

/** A named graph input or output. An empty shape is a scalar; each run decides a named size. */
export interface OnnxTensorInfo {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly (number | string)[];
}

/** A constant, row-major. bool takes one byte per element; float16 and bfloat16 are their bits in a Uint16Array. */
export interface OnnxTensor {
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  readonly data: OnnxData;
}

export interface OnnxInitializer extends OnnxTensor {
  readonly name: string;
}

/** An initializer whose bytes are read while the model is written, or lie in another file. */
export interface OnnxStoredInitializer {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  readonly content: { readonly chunks: DeferredBytes } | ExternalBytes;
}

/** Location of an initializer's bytes: a file beside the model, and the offset in bytes. */
export interface ExternalBytes {
  readonly location: string;
  readonly offset: number;
}

/** An attribute's value under the name of its kind, such as `{ int: 1 }` or `{ floats: [0.5] }`. */
export type OnnxAttribute =
  | { readonly int: number | bigint }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly (number | bigint)[] }
  | { readonly floats: readonly number[] }
  | { readonly tensor: OnnxTensor };

/** One operator call. "" stands for an optional input that is left out. `domain` "" (the default) is ONNX itself. */
export interface OnnxNode {
  readonly opType: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly name?: string;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxTensorInfo[];
  readonly outputs: readonly OnnxTensorInfo[];
  readonly initializers: readonly (OnnxInitializer | OnnxStoredInitializer)[];
}

export interface EncodeOptions {
  readonly irVersion?: number;
  /** Operator set version by domain. */
  readonly opsets?: Readonly<Record<string, number>>;
}

/** TensorProto.DataType numbers and the array that holds each type. */
const TYPES: Readonly<Record<OnnxDType, { readonly code: number; readonly array: abstract new () => OnnxData }>> = {
  float32: { code: 1, array: Float32Array },
  uint8: { code: 2, array: Uint8Array },
  int8: { code: 3, array: Int8Array },
  uint16: { code: 4, array: Uint16Array },
  int32: { code: 6, array: Int32Array },
  int64: { code: 7, array: BigInt64Array },
  bool: { code: 9, array: Uint8Array },
  float16: { code: 10, array: Uint16Array },
  uint32: { code: 12, array: Uint32Array },
  bfloat16: { code: 16, array: Uint16Array },
};

/** TensorProto.DataLocation. */
const EXTERNAL = 1;

/** AttributeProto.AttributeType numbers. */
const FLOAT = 1;
const INT = 2;
const STRING = 3;
const TENSOR = 4;
const FLOATS = 6;
const INTS = 7;

/** An int64 vector or scalar, the form in which ONNX operators take axes, shapes and indices. */
export function int64Initializer(
  name: string,
  values: readonly (number | bigint)[],
  shape: readonly number[] = [values.length],
): OnnxInitializer {
  return { name, dtype: "int64", shape, data: BigInt64Array.from(values, checkedInt64) };
}

/** Encodes an ONNX model. Equal graphs give equal bytes. Nodes are written in the order given (see `order.ts`). */
export function encodeModel(graph: OnnxGraph, options: EncodeOptions = {}): Uint8Array {
  return modelMessage(graph, options).finish();
}

/** Encodes an ONNX model in pieces. Initializers stored elsewhere are read one after another. */
export function modelChunks(graph: OnnxGraph, options: EncodeOptions = {}): AsyncGenerator<Uint8Array> {
  return modelMessage(graph, options).chunks();
}

/** Size of a tensor in bytes. */
export function tensorBytes({ dtype, shape }: Pick<OnnxTensor, "dtype" | "shape">): number {
  const { BYTES_PER_ELEMENT } = TYPES[dtype].array as unknown as { readonly BYTES_PER_ELEMENT: number };
  return sizeOf(shape) * BYTES_PER_ELEMENT;
}

function modelMessage(graph: OnnxGraph, options: EncodeOptions): MessageWriter {
  const { irVersion = 10, opsets = { "": 23, "com.microsoft": 1 } } = options;
  const model = new MessageWriter().int(1, irVersion).string(2, "highrank").message(7, graphMessage(graph));
  for (const [domain, version] of Object.entries(opsets)) {
    model.message(8, new MessageWriter().string(1, domain).int(2, version));
  }
  return model;
}

function graphMessage(graph: OnnxGraph): MessageWriter {
  const message = new MessageWriter();
  for (const node of graph.nodes) message.message(1, nodeMessage(node));
  message.string(2, "highrank");
  for (const tensor of graph.initializers) message.message(5, initializerMessage(tensor));
  for (const input of graph.inputs) message.message(11, valueInfoMessage(input));
  for (const output of graph.outputs) message.message(12, valueInfoMessage(output));
  return message;
}

function nodeMessage(node: OnnxNode): MessageWriter {
  const message = new MessageWriter();
  for (const input of node.inputs) message.string(1, input);
  for (const output of node.outputs) message.string(2, output);
  if (node.name !== undefined) message.string(3, node.name);
  message.string(4, node.opType);
  for (const [name, value] of Object.entries(node.attributes ?? {})) message.message(5, attributeMessage(name, value));
  if (node.domain !== undefined) message.string(7, node.domain);
  return message;
}

function attributeMessage(name: string, value: OnnxAttribute): MessageWriter {
  const message = new MessageWriter().string(1, name);
  if ("float" in value) return message.float(2, value.float).int(20, FLOAT);
  if ("int" in value) return message.int(3, value.int).int(20, INT);
  if ("string" in value) return message.string(4, value.string).int(20, STRING);
  if ("tensor" in value) return message.message(5, tensorMessage(value.tensor, name)).int(20, TENSOR);
  if ("floats" in value) return message.packedFloats(7, value.floats).int(20, FLOATS);
  return message.packedInts(8, value.ints).int(20, INTS);
}

function initializerMessage(tensor: OnnxInitializer | OnnxStoredInitializer): MessageWriter {
  if (!("content" in tensor)) return tensorMessage(tensor, tensor.name);
  const { name, content } = tensor;
  const message = tensorHeader(tensor, name);
  const bytes = tensorBytes(tensor);
  if ("chunks" in content) return message.bytesLater(9, bytes, content.chunks);
  const entry = (key: string, value: string | number) => new MessageWriter().string(1, key).string(2, String(value));
  message.message(13, entry("location", content.location));
  message.message(13, entry("offset", content.offset)).message(13, entry("length", bytes));
  return message.int(14, EXTERNAL);
}

function tensorHeader({ dtype, shape }: Pick<OnnxTensor, "dtype" | "shape">, name: string): MessageWriter {
  return new MessageWriter().packedInts(1, shape).int(2, TYPES[dtype].code).string(8, name);
}

function tensorMessage({ dtype, shape, data }: OnnxTensor, name: string): MessageWriter {
  const { array } = TYPES[dtype];
  if (!(data instanceof array)) {
    throw new DTypeError(
      `ONNX tensor "${name}": dtype ${dtype} is held by a ${array.name}, not by a ${data.constructor.name}`,
    );
  }
  const length = sizeOf(shape);
  if (data.length !== length) {
    throw new ShapeError(`ONNX tensor "${name}": shape [${shape}] has ${length} elements, its data ${data.length}`);
  }
  // raw_data is little-endian, as are typed arrays on every platform that ONNX Runtime supports.
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return tensorHeader({ dtype, shape }, name).bytes(9, raw);
}

function valueInfoMessage({ name, dtype, shape }: OnnxTensorInfo): MessageWriter {
  const dimensions = new MessageWriter();
  for (const size of shape) {
    const dimension = new MessageWriter();
    dimensions.message(1, typeof size === "string" ? dimension.string(2, size) : dimension.int(1, size));
  }
  const tensorType = new MessageWriter().int(1, TYPES[dtype].code).message(2, dimensions);
  return new MessageWriter().string(1, name).message(2, new MessageWriter().message(1, tensorType));
}
