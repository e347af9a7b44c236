import {
  int64Initializer,
  type OnnxAttribute,
  type OnnxInitializer,
  type OnnxNode,
  type OnnxTensorInfo,
} from "../compiler/onnx-model.js";
import { ROUNDED_BLOCK } from "../quant/rounded-blocks.js";
import type { Shape } from "../tensor/shape.js";
import type { DecoderGraph } from "./onnx-decoder.js";

/** The form of the weights of a file, and of its computations. */
export interface OnnxForm {
  /** Bits of a number of the matrices. With 4, those that lose most have 8. */
  readonly bits: 32 | 16 | 8 | 4;
  /** True if products with weights are computed in float16, and keys and values are kept in it. */
  readonly half: boolean;
}

/** An initializer that is made of a weight: its numbers, or the codes or the scales of its blocks. */
export interface WeightPart {
  readonly name: string;
  readonly dtype: "float32" | "float16" | "uint8";
  readonly shape: readonly number[];
  readonly holds: "numbers" | "codes" | "scales";
}

/** A weight of the model in a file. */
export interface HeldWeight {
  readonly bits: OnnxForm["bits"];
  readonly parts: readonly WeightPart[];
}

/** A decoder whose weights are held in some form. */
export interface HeldGraph extends Pick<DecoderGraph, "nodes" | "inputs" | "outputs" | "constants"> {
  /** By the names of the model's own files, in the order of the graph. */
  readonly weights: ReadonlyMap<string, HeldWeight>;
  /** Versions of the operator sets. */
  readonly opsets: Readonly<Record<string, number>>;
}

const MICROSOFT = "com.microsoft";
/** TensorProto.DataType, as Cast takes it. */
const CAST_TO = { float32: 1, float16: 10 } as const;

/**
 * The decoder with its weights held in a form. Products read blocks by the operator MatMulNBits. With `half`, each
 * product with a weight is computed in float16, as autocast does, and what is added up stays float32: the residual
 * stream, norms, attention, positions and logits. Otherwise 16-bit weights are converted when a runtime loads the file.
 * @param opsets versions that the decoder is written in.
 */
export function heldGraph(graph: DecoderGraph, form: OnnxForm, opsets: Readonly<Record<string, number>>): HeldGraph {
  const forms = heldBits(graph, form);
  const writer = new HeldWriter(graph, form, forms);
  for (const node of graph.nodes) writer.add(node);
  const usesBlocks = [...writer.weights.values()].some(({ bits }) => bits <= 8);
  return {
    nodes: [...writer.widening, ...writer.nodes],
    inputs: graph.inputs.map((info) => cacheInfo(info, form)),
    outputs: graph.outputs.map((info) => cacheInfo(info, form)),
    constants: [...graph.constants, ...writer.constants.values()],
    weights: writer.weights,
    opsets: usesBlocks ? { ...opsets, [MICROSOFT]: 1 } : opsets,
  };
}

/**
 * Accuracy of MatMulNBits: blocks of the other factor are rounded to 8 bits too. That costs half a thousandth of the
 * loss; without it, 8-bit weights are widened anew for each token, which takes ten times as long.
 */
const INT8_PRODUCTS = 4;

const PAST = "past_key_values.";
const PRESENT = "present.";

function cacheInfo(info: OnnxTensorInfo, { half }: OnnxForm): OnnxTensorInfo {
  const isCache = info.name.startsWith(PAST) || info.name.startsWith(PRESENT);
  return half && isCache ? { ...info, dtype: "float16" } : info;
}

/** The weight in `x · Wᵀ`; undefined for other nodes. */
function weightOfProduct({ opType, inputs, attributes = {} }: OnnxNode): string | undefined {
  return opType === "Gemm" && isOne(attributes.transB) && !isOne(attributes.transA) ? inputs[1] : undefined;
}

/** The table of which rows are taken; undefined for other nodes. */
function tableOf({ opType, inputs }: OnnxNode): string | undefined {
  return opType === "Gather" ? inputs[0] : undefined;
}

function isOne(attribute: OnnxAttribute | undefined): boolean {
  return attribute !== undefined && "int" in attribute && Number(attribute.int) === 1;
}

/**
 * Bits of each weight. Vectors stay float32, as do matrices whose rows are no whole blocks. In a file of 4 bits,
 * tables, heads, and matrices with more inputs than outputs have 8: values and the way out of an MLP lose most, as in
 * llama.cpp's mixes of types.
 */
function heldBits({ nodes, weights }: DecoderGraph, { bits }: OnnxForm): Map<string, OnnxForm["bits"]> {
  const tables = new Set(nodes.map(tableOf));
  const rows = new Set([...weights].filter(([name]) => tables.has(name)).map(([, { shape }]) => shape[0]));
  const isReadWhole = (name: string): boolean =>
    nodes.every((node) => !node.inputs.includes(name) || weightOfProduct(node) === name || tableOf(node) === name);
  const held = new Map<string, OnnxForm["bits"]>();
  for (const [name, { shape }] of weights) {
    const [outputs, inputs] = shape as [number, number];
    if (shape.length !== 2 || bits === 32) held.set(name, 32);
    else if (bits === 16) held.set(name, 16);
    else if (inputs % ROUNDED_BLOCK !== 0 || !isReadWhole(name)) held.set(name, 32);
    else held.set(name, rows.has(outputs) || inputs > outputs ? 8 : bits);
  }
  return held;
}

/** The initializers of a weight. */
function partsOf(name: string, shape: Shape, bits: OnnxForm["bits"], half: boolean): WeightPart[] {
  if (bits === 32) return [{ name, dtype: "float32", shape, holds: "numbers" }];
  if (bits === 16) return [{ name: `${name}.float16`, dtype: "float16", shape, holds: "numbers" }];
  const [outputs, inputs] = shape as [number, number];
  const blocks = inputs / ROUNDED_BLOCK;
  return [
    { name: `${name}.codes`, dtype: "uint8", shape: [outputs, blocks, (ROUNDED_BLOCK * bits) / 8], holds: "codes" },
    { name: `${name}.scales`, dtype: half ? "float16" : "float32", shape: [outputs, blocks], holds: "scales" },
  ];
}

/** An operator that takes the result of the one before it as its first input. */
interface Step extends Omit<OnnxNode, "inputs" | "outputs"> {
  /** The other inputs. */
  readonly others?: readonly string[];
}

type Float = keyof typeof CAST_TO;

const castTo = (dtype: Float): Step => ({ opType: "Cast", attributes: { to: { int: CAST_TO[dtype] } } });

/** Writes the nodes of a decoder anew, for weights in other forms. */
class HeldWriter {
  readonly nodes: OnnxNode[] = [];
  /** Nodes in front of the others, which a runtime computes once. */
  readonly widening: OnnxNode[] = [];
  readonly constants: Map<string, OnnxInitializer> = new Map();
  readonly weights: Map<string, HeldWeight> = new Map();
  readonly #half: boolean;
  readonly #shapes: ReadonlyMap<string, { readonly shape: Shape }>;
  /** Casts by the name of what they give. */
  readonly #casts: Set<string> = new Set();

  constructor({ weights }: DecoderGraph, { half }: OnnxForm, forms: ReadonlyMap<string, OnnxForm["bits"]>) {
    this.#half = half;
    this.#shapes = weights;
    for (const [name, { shape }] of weights) {
      const bits = forms.get(name)!;
      this.weights.set(name, { bits, parts: partsOf(name, shape, bits, half) });
    }
  }

  add(node: OnnxNode): void {
    const [output] = node.outputs as [string];
    const product = weightOfProduct(node);
    const table = tableOf(node);
    if (product !== undefined && this.#isRead(product)) this.#addProduct(node, product, output);
    else if (table !== undefined && this.#isRead(table)) this.#addRows(table, node.inputs[1]!, output);
    else if (this.#half && output.startsWith(PRESENT))
      this.nodes.push({ ...node, inputs: node.inputs.map((x) => this.#cacheIn("float16", x)) });
    else if (node.opType === "Shape") this.nodes.push(node);
    else this.nodes.push({ ...node, inputs: node.inputs.map((x) => this.#inFloat32(x)) });
  }

  /** The value in float32. A 16-bit weight keeps its name there. */
  #inFloat32(x: string): string {
    const weight = this.weights.get(x);
    if (weight?.bits !== 16) return this.#cacheIn("float32", x);
    if (!this.#casts.has(x)) this.#chain(this.widening, weight.parts[0]!.name, [castTo("float32")], x);
    this.#casts.add(x);
    return x;
  }

  /** True if nodes read the weight as it is stored, not as float32. */
  #isRead(name: string): boolean {
    const bits = this.weights.get(name)?.bits ?? 32;
    return bits <= 8 || (bits === 16 && this.#half);
  }

  /** The value in the type; keys and values are float16 where they are kept. */
  #cacheIn(dtype: Float, x: string): string {
    const isCache = this.#half && (x.startsWith(PAST) || x.startsWith(PRESENT));
    return isCache === (dtype === "float16") ? x : this.#cast(x, dtype);
  }

  #cast(x: string, dtype: Float): string {
    const name = `${x}.${dtype}`;
    if (!this.#casts.has(name)) this.#chain(this.nodes, x, [castTo(dtype)], name);
    this.#casts.add(name);
    return name;
  }

  /** alpha · x · Wᵀ + c */
  #addProduct({ inputs, attributes = {} }: OnnxNode, weight: string, output: string): void {
    const [x, , addend] = inputs as [string, string, string?];
    const { alpha } = attributes as { readonly alpha?: { readonly float: number } };
    const steps = [this.#productStep(weight)];
    if (this.#half) steps.push(castTo("float32"));
    if (alpha !== undefined && alpha.float !== 1) steps.push({ opType: "Mul", others: [this.#scalar(alpha.float)] });
    if (addend !== undefined) steps.push({ opType: "Add", others: [this.#inFloat32(addend)] });
    this.#chain(this.nodes, this.#half ? this.#cast(x, "float16") : x, steps, output);
  }

  #productStep(weight: string): Step {
    const { bits, parts } = this.weights.get(weight)!;
    const others = parts.map(({ name }) => name);
    if (bits === 16) return { opType: "Gemm", others, attributes: { transB: { int: 1 } } };
    const [N, K] = this.#shapes.get(weight)!.shape as [number, number];
    const sizes = { K: { int: K }, N: { int: N }, bits: { int: bits }, block_size: { int: ROUNDED_BLOCK } };
    const attributes = { ...sizes, accuracy_level: { int: INT8_PRODUCTS } };
    return { opType: "MatMulNBits", domain: MICROSOFT, others, attributes };
  }

  /**
   * Rows of a table, in float32. The codes of 8 bits are those that a product reads. The WebAssembly that
   * transformers.js 4 loads has no GatherBlockQuantized, so that ONNX's own operators widen the few rows.
   */
  #addRows(table: string, indices: string, output: string): void {
    const [stored, scales] = this.weights.get(table)!.parts.map(({ name }) => name) as [string, string?];
    const rows: Step = { opType: "Gather", others: [indices] };
    if (scales === undefined) {
      this.#chain(this.nodes, stored, [rows, castTo("float32")], output);
      return;
    }
    const factors = `${output}.scales`;
    const widened = this.#half ? [castTo("float32")] : [];
    this.#chain(this.nodes, scales, [rows, ...widened, { opType: "Unsqueeze", others: [this.#axes(-1)] }], factors);
    const centered = { opType: "Sub", others: [this.#scalar(2 ** 7)] };
    const scaled = { opType: "Mul", others: [factors] };
    const joined = { opType: "Reshape", others: [this.#axes(0, this.#shapes.get(table)!.shape[1]!)] };
    this.#chain(this.nodes, stored, [rows, castTo("float32"), centered, scaled, joined], output);
  }

  #axes(...values: readonly number[]): string {
    const initializer = int64Initializer(`%held[${values}]`, values);
    this.constants.set(initializer.name, initializer);
    return initializer.name;
  }

  #scalar(value: number): string {
    const name = `%held(${value})`;
    this.constants.set(name, { name, dtype: "float32", shape: [], data: Float32Array.of(value) });
    return name;
  }

  #chain(nodes: OnnxNode[], first: string, steps: readonly Step[], output: string): void {
    let value = first;
    for (const [i, { others = [], ...operator }] of steps.entries()) {
      const result = i === steps.length - 1 ? output : `${output}.${i}`;
      nodes.push({ ...operator, inputs: [value, ...others], outputs: [result] });
      value = result;
    }
  }
}
