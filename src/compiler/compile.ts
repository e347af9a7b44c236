import { ConfigError } from "../base/errors.js";
import { constantValue } from "../ops/constant.js";
import type { PrimitiveName } from "../ops/primitives.js";
import { reachable } from "../tensor/graph.js";
import type { Shape } from "../tensor/shape.js";
import type { Tensor, TensorSpec } from "../tensor/tensor.js";
import type { DynamicSizes } from "./dynamic-sizes.js";
import { Emitter } from "./emitter.js";
import { fuseProducts } from "./fuse.js";
import { CPU_PROFILE } from "./lower-cpu.js";
import { BIT_CAST_ENCODING, elementsOf, FED_AS, widenedLeaf } from "./lower-half.js";
import { WEBGPU_PROFILE } from "./lower-webgpu.js";
import type { HalfLeaf, LoweringContext, Profile } from "./lowering.js";
import type { EncodeOptions, OnnxGraph, OnnxInitializer, OnnxNode, OnnxTensorInfo } from "./onnx-model.js";
import { orderForExecution } from "./order.js";

export const PROFILES: Readonly<Record<"cpu" | "webgpu", Profile>> = { cpu: CPU_PROFILE, webgpu: WEBGPU_PROFILE };

/** A graph whose constants are all in memory. Stand-ins take the place of dynamic sizes. */
export interface StaticGraph extends OnnxGraph {
  readonly inputs: readonly StaticInfo[];
  readonly outputs: readonly StaticInfo[];
  readonly initializers: readonly OnnxInitializer[];
}

interface StaticInfo extends OnnxTensorInfo {
  readonly shape: Shape;
}

/** A graph as ONNX, and the leaves that feed its inputs. */
export interface CompiledGraph {
  readonly graph: StaticGraph;
  /** Leaves by the name of the model's input. */
  readonly leaves: ReadonlyMap<string, Tensor>;
  /** Inputs that take the bits of leaves held as 16-bit floats, or of some of their rows. */
  readonly halves: ReadonlyMap<string, HalfInput>;
  /** Versions that the model's file declares. */
  readonly encoding: EncodeOptions;
  /** Shape and dtype of the model's values by name. Values inside one lowering are listed only if it gave a shape. */
  readonly values: ReadonlyMap<string, TensorSpec>;
}

/** Elements of a leaf held as 16-bit floats, with its encoding when the graph was compiled. */
export interface HalfInput extends Pick<HalfLeaf, "tensor" | "format" | "scale"> {
  readonly elements: readonly [start: number, end: number];
  readonly shape: Shape;
}

export interface CompileOptions {
  /** Sizes that each run decides. */
  readonly sizes?: DynamicSizes;
  /**
   * Order of the nodes in the file. Default "execution": ONNX Runtime executes them in the order they were created in.
   * The ONNX specification demands "topological".
   */
  readonly order?: "execution" | "topological";
  /** Same bits for any number of threads of the CPU. Default true. */
  readonly deterministic?: boolean;
}

/**
 * Lowers the graph of `outputs` for one execution provider. Each output is available under its key.
 * @throws ConfigError for names that are reserved or given twice.
 */
export function compileGraph(
  outputs: Readonly<Record<string, Tensor>>,
  profile: Profile,
  { sizes, order = "execution", deterministic = true }: CompileOptions = {},
): CompiledGraph {
  for (const output of Object.keys(outputs)) {
    if (/^(%|input:)/.test(output))
      throw new ConfigError(`compile: an output's name must not start with % or input:, got ${output}`);
  }
  const wanted = Object.values(outputs);
  const tensors = reachable(wanted);
  const { products, absorbed } = fuseProducts(tensors, wanted);
  const emitter = new Emitter(sizes, deterministic);
  const names = new Map<Tensor, string>();
  const leaves = new Map<string, Tensor>();
  const halves = new Map<string, HalfInput>();
  const specs = new Map<string, TensorSpec>();
  const nameOf = (tensor: Tensor): string => {
    const leaf = names.has(tensor) ? undefined : halfLeaf(tensor);
    if (leaf !== undefined) return widenedLeaf(leaf, emitter);
    return names.get(tensor) ?? name(tensor, lower(tensor));
  };
  const halfLeaf = (tensor: Tensor): HalfLeaf | undefined => {
    const half = tensor.source?.kind === "data" ? tensor.source.half : undefined;
    if (half === undefined) return undefined;
    const { format, scale } = half;
    const input: HalfLeaf["input"] = (rows) => {
      const [elements, shape] =
        rows === undefined
          ? [[0, tensor.size] as const, tensor.shape]
          : [elementsOf(tensor, rows), [rows[1] - rows[0], ...tensor.shape.slice(1)]];
      const input = `%leaf${tensor.id}[${elements}]`;
      halves.set(input, { tensor, format, scale, elements, shape });
      return input;
    };
    return { tensor, format, scale, input };
  };
  const name = (tensor: Tensor, value: string): string => {
    names.set(tensor, value);
    specs.set(value, tensor);
    return value;
  };
  const context: LoweringContext = { emitter, nameOf, halfLeaf, byproducts: new Map() };
  const inGraph = new Set(tensors);

  function lower(tensor: Tensor): string {
    if (tensor.op === undefined) return addLeaf(leaves, tensor);
    if (tensor.op.name === "alias") return nameOf(tensor.inputs[0]!);
    const product = products.get(tensor);
    if (product === undefined) return profile.primitives[tensor.op.name as PrimitiveName](tensor, context);
    return profile.product(product, tensor, context);
  }

  // Nodes are lowered in creation order, the order in which they should run. Tensors that a fusion absorbed are never
  // asked for; constants and leaves held as 16-bit floats are lowered when a reader asks for them.
  for (const tensor of tensors) {
    if (absorbed.has(tensor) || names.has(tensor) || constantValue(tensor) !== undefined) continue;
    if (halfLeaf(tensor) !== undefined) continue;
    nameOf(tensor);
    const companions = tensor.companions.filter((companion) => inGraph.has(companion));
    if (companions.length > 0) name(tensor, emitAfter(tensor, companions, context));
  }
  const values = Object.entries(outputs).map(([output, tensor]) => [output, nameOf(tensor)] as const);
  for (const [output, tensor] of Object.entries(outputs)) specs.set(output, tensor);
  for (const [value, shape] of emitter.shapes) if (!specs.has(value)) specs.set(value, { shape, dtype: "float32" });
  const { nodes, read } = withoutUnread(nameOutputs(emitter, values), outputs);
  const halfInputs = [...halves].map(([input, { format, shape }]) => ({ name: input, dtype: FED_AS[format], shape }));
  const readsBfloat16 = [...halves.values()].some(({ format }) => format === "bfloat16");
  return {
    leaves,
    halves,
    encoding: readsBfloat16 ? BIT_CAST_ENCODING : {},
    values: specs,
    graph: {
      nodes: order === "topological" ? nodes : orderForExecution(nodes).map((index) => nodes[index]!),
      inputs: [...[...leaves].map(([input, { dtype, shape }]) => ({ name: input, dtype, shape })), ...halfInputs],
      outputs: Object.entries(outputs).map(([output, { dtype, shape }]) => ({ name: output, dtype, shape })),
      initializers: [...emitter.initializers.values()].filter(({ name }) => read.has(name)),
    },
  };
}

/**
 * Registers a leaf as an input of the model. Prefixes keep inputs, inner values and outputs apart: an output may have
 * the name of a placeholder. @throws ConfigError when two placeholders share a name.
 */
function addLeaf(leaves: Map<string, Tensor>, leaf: Tensor): string {
  const name = leaf.source?.kind === "placeholder" ? `input:${leaf.source.name}` : `%leaf${leaf.id}`;
  if (leaves.has(name)) throw new ConfigError(`compile: two placeholders have one name, ${name}; names must be unique`);
  leaves.set(name, leaf);
  return name;
}

/**
 * Makes the value of `anchor` available only after its companions, by passing one element of each through the copy of
 * it that others read. ONNX has no other way to order nodes that do not read each other.
 */
function emitAfter(anchor: Tensor, companions: readonly Tensor[], { emitter, nameOf }: LoweringContext): string {
  const size = anchor.size;
  const [zero, one] = [emitter.integers([0]), emitter.integers([1])];
  const flat = emitter.reshape(nameOf(anchor), [size]);
  const tokens = companions.map((companion) =>
    emitter.emit("Slice", [emitter.reshape(nameOf(companion), [companion.size]), zero, one, zero]),
  );
  const joined = emitter.emit("Concat", [flat, ...tokens], { attributes: { axis: { int: 0 } } });
  return emitter.reshape(emitter.emit("Slice", [joined, zero, emitter.integers([size]), zero]), anchor.shape);
}

/** Drops nodes that nothing reads (of nested reshapes only the last is read) and collects the values that are read. */
function withoutUnread(
  nodes: readonly OnnxNode[],
  outputs: Readonly<Record<string, Tensor>>,
): { nodes: OnnxNode[]; read: ReadonlySet<string> } {
  const read = new Set(Object.keys(outputs));
  const kept = [...nodes].reverse().filter((node) => {
    const isRead = node.outputs.some((output) => read.has(output));
    if (isRead) for (const input of node.inputs) read.add(input);
    return isRead;
  });
  return { nodes: kept.reverse(), read };
}

/** Gives the graph's outputs their own names. A value that is an input or given twice needs a copy. */
function nameOutputs({ nodes }: Emitter, outputs: readonly (readonly [output: string, value: string])[]): OnnxNode[] {
  const produced = new Set(nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const copies: OnnxNode[] = [];
  for (const [output, value] of outputs) {
    if (produced.has(value) && !renamed.has(value)) renamed.set(value, output);
    else copies.push({ opType: "Identity", inputs: [value], outputs: [output] });
  }
  const rename = (value: string) => renamed.get(value) ?? value;
  return [...nodes, ...copies].map((node) => ({
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
  }));
}
