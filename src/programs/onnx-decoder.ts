import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { compileGraph } from "../compiler/compile.js";
import { DynamicSizes, primeFrom } from "../compiler/dynamic-sizes.js";
import { Emitter, sizeName } from "../compiler/emitter.js";
import { PORTABLE_ENCODING, PORTABLE_PROFILE } from "../compiler/lower-portable.js";
import {
  encodeModel,
  type OnnxAttribute,
  type OnnxInitializer,
  type OnnxNode,
  type OnnxTensorInfo,
} from "../compiler/onnx-model.js";
import type { CausalLM } from "../models/causal-lm.js";
import { MASKED } from "../nn/attention.js";
import { ExportedSequence } from "../nn/exported-sequence.js";
import { namedParameters, Parameter } from "../nn/module.js";
import { attentionFactor, dynamicExponent, type Rope, rotaryFrequencies } from "../nn/rope.js";
import { reshape } from "../ops/movement.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";

/**
 * A decoder with key-value cache as Hugging Face's tools lay it out. Inputs: input_ids and position_ids (batch_size,
 * sequence_length) and attention_mask (batch_size, past_sequence_length + sequence_length), int64;
 * past_key_values.N.key and .value (batch_size, heads, past_sequence_length, headDim), float32. Outputs: logits
 * (batch_size, sequence_length, vocabSize) and present.N.key and .value, with the new tokens' keys and values
 * appended.
 */
export interface DecoderGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxTensorInfo[];
  readonly outputs: readonly OnnxTensorInfo[];
  /** All initializers but the weights. */
  readonly constants: readonly OnnxInitializer[];
  /** The model's parameters, by the names under which `nodes` read them: those on disk. A tied head is there once. */
  readonly weights: ReadonlyMap<string, Parameter>;
}

/**
 * The model as a graph for any number of rows, tokens, and tokens in the cache. Its weights are not read.
 * @throws ConfigError where the model computes something from such a number in a way that a file cannot hold.
 */
export function decoderGraph(model: CausalLM): DecoderGraph {
  const fixed = new Set([...namedParameters(model).values()].flatMap(({ shape }) => shape));
  // The stand-ins of the second graph share nothing with those of the first, so that one left in a graph as a number
  // shows.
  const [graph, other] = [1000, 2000].map((least) => trace(model, standIns(fixed, least)));
  if (!sameBytes(constantPart(graph!), constantPart(other!))) {
    throw new ConfigError(
      `export: the graph of this architecture depends on the number of tokens; only ${optionName("to", "hf")} can ` +
        "write it",
    );
  }
  return graph!;
}

interface StandIns {
  readonly batch: number;
  readonly time: number;
  readonly past: number;
}

/** Numbers of which none divides a size of the model, and neither does past + time. */
function standIns(fixed: ReadonlySet<number>, least: number): StandIns {
  const isFree = (prime: number): boolean => [...fixed].every((size) => size % prime !== 0);
  const batch = primeFrom(least, isFree);
  const time = primeFrom(batch + 1, isFree);
  // The sum of two odd primes is even; that of one and twice another can be a prime.
  const half = primeFrom(
    time + 1,
    (prime) => isFree(prime) && primeFrom(time + 2 * prime, isFree) === time + 2 * prime,
  );
  return { batch, time, past: 2 * half };
}

function trace(model: CausalLM, { batch, time, past }: StandIns): DecoderGraph {
  const sequence = new ExportedSequence(batch, time, past);
  const ids = placeholder("ids", [batch, time], "int32");
  const logits = model.logits(ids, { sequence });
  const outputs: Record<string, Tensor> = { logits: reshape(logits, [batch, time, model.config.vocabSize]) };
  const caches: Tensor[] = [];
  for (const [layer, cache] of sequence.layers) {
    caches.push(cache.past.key, cache.past.value);
    outputs[`present.${layer}.key`] = cache.present.key;
    outputs[`present.${layer}.value`] = cache.present.value;
  }
  const sizes = new DynamicSizes({
    batch_size: batch,
    sequence_length: time,
    past_sequence_length: past,
    total_sequence_length: past + time,
  });
  const { graph, leaves } = compileGraph(outputs, PORTABLE_PROFILE, { sizes, order: "topological" });
  const { names, weights, constants } = nameLeaves(model, leaves);
  const prologue = emitInputs(sequence, leaves);
  const rename = (name: string): string => names.get(name) ?? name;
  const declare = (name: string, { dtype, shape }: Tensor): OnnxTensorInfo => ({
    name,
    dtype,
    shape: sizes.declare(shape),
  });
  const initializers = new Map(
    [...graph.initializers, ...prologue.initializers.values()].map((each) => [each.name, each]),
  );
  return {
    nodes: [...prologue.nodes, ...graph.nodes].map((node) => ({ ...node, inputs: node.inputs.map(rename) })),
    inputs: [
      ...TOKEN_INPUTS,
      ...caches.map((cache) => declare((cache.source as { readonly name: string }).name, cache)),
    ],
    outputs: Object.entries(outputs).map(([name, tensor]) => declare(name, tensor)),
    constants: [...initializers.values(), ...constants],
    weights,
  };
}

const TOKEN_INPUTS: readonly OnnxTensorInfo[] = [
  { name: "input_ids", dtype: "int64", shape: ["batch_size", "sequence_length"] },
  { name: "attention_mask", dtype: "int64", shape: ["batch_size", "total_sequence_length"] },
  { name: "position_ids", dtype: "int64", shape: ["batch_size", "sequence_length"] },
];

/** Names for the leaves of a graph that do not depend on when they were made, by those that the compiler gave. */
function nameLeaves(
  model: CausalLM,
  leaves: ReadonlyMap<string, Tensor>,
): { names: Map<string, string>; weights: Map<string, Parameter>; constants: OnnxInitializer[] } {
  const paths = new Map([...namedParameters(model)].map(([path, parameter]) => [parameter as Tensor, path] as const));
  const names = new Map<string, string>();
  const weights = new Map<string, Parameter>();
  const constants: OnnxInitializer[] = [];
  for (const [leaf, tensor] of leaves) {
    const { source, shape, dtype } = tensor;
    if (source?.kind === "placeholder") {
      if (source.name.startsWith("past_key_values.")) names.set(leaf, source.name);
    } else if (tensor instanceof Parameter) {
      const name = model.checkpointName(paths.get(tensor)!);
      names.set(leaf, name);
      weights.set(name, tensor);
    } else {
      const name = `constant${constants.length}`;
      names.set(leaf, name);
      constants.push({ name, dtype, shape, data: source!.array });
    }
  }
  return { names, weights, constants };
}

const [FLOAT, INT32, BOOL] = [1, 6, 9] as const;

/** Computes what the graph takes for given of what the file is given. */
function emitInputs(sequence: ExportedSequence, leaves: ReadonlyMap<string, Tensor>): Emitter {
  const emitter = new Emitter();
  const emit = (
    name: string,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string => emitter.emit(opType, inputs, { attributes, outputs: [name] });
  const cast = (name: string, x: string, to: number): string => emit(name, "Cast", [x], { to: { int: to } });
  const emitSize = (size: string, input: string, axis: number): string =>
    emit(sizeName(size), "Shape", [input], { start: { int: axis }, end: { int: axis + 1 } });
  emitSize("batch_size", "input_ids", 0);
  const time = emitSize("sequence_length", "input_ids", 1);
  const past = emitSize("past_sequence_length", "past_key_values.0.key", 2);
  const total = emit(sizeName("total_sequence_length"), "Add", [past, time]);
  cast("input:ids", "input_ids", INT32);
  const positions = emit("%positions", "Reshape", ["position_ids", emitter.integers([-1])]);
  if (leaves.has("input:positions")) cast("input:positions", positions, INT32);
  const floatPositions = cast("%float_positions", positions, FLOAT);
  const column = emit("%column", "Unsqueeze", [floatPositions, emitter.integers([1])]);
  for (const { rope, cos, sin } of sequence.angles.values()) {
    const { name } = cos.source as { readonly name: string };
    const angles = emit(`%${name}`, "Mul", [column, emitFrequencies(`%${name}`, rope, floatPositions, emitter)]);
    const factor = attentionFactor(rope);
    for (const [input, opType] of [
      [cos, "Cos"],
      [sin, "Sin"],
    ] as const) {
      if (factor === 1) emit(inputName(input), opType, [angles]);
      else emit(inputName(input), "Mul", [emit(`%${name}.${opType}`, opType, [angles]), emitter.scalar(factor)]);
    }
  }
  const scalar = (size: string): string => emit(`${size}.scalar`, "Squeeze", [size]);
  const end = scalar(total);
  const count = (name: string, start: string): string => emit(name, "Range", [start, end, integer(1, emitter)]);
  const keys = count("%keys", integer(0, emitter));
  const queries = emit("%queries", "Unsqueeze", [count("%rows", scalar(past)), emitter.integers([1])]);
  const real = emit("%real", "Unsqueeze", [cast("%mask", "attention_mask", BOOL), emitter.integers([1, 2])]);
  const before = emit("%before", "LessOrEqual", [keys, queries]);
  const causal = emit("%causal", "And", [before, real]);
  for (const [window, mask] of sequence.masks) {
    const name = inputName(mask);
    let seen = causal;
    if (window !== undefined) {
      const first = emit(`%first.${name}`, "Sub", [queries, emitter.integers([window])]);
      seen = emit(`%seen.${name}`, "And", [causal, emit(`%near.${name}`, "Greater", [keys, first])]);
    }
    emit(name, "Where", [seen, emitter.scalar(0), emitter.scalar(MASKED)]);
  }
  return emitter;
}

function inputName({ source }: Tensor): string {
  return `input:${(source as { readonly name: string }).name}`;
}

/** Angles of one position, (1, pairs); for some ropes they depend on the last position that the file is given. */
function emitFrequencies(name: string, rope: Rope, positions: string, emitter: Emitter): string {
  const row = (part: string, values: ArrayLike<number>): string => {
    const data = Float32Array.from(values);
    emitter.initializers.set(part, { name: part, dtype: "float32", shape: [1, data.length], data });
    return part;
  };
  const { scaling, headDim } = rope;
  const base = row(`${name}.frequencies`, rotaryFrequencies(rope, 0));
  if (scaling?.kind !== "longrope" && scaling?.kind !== "dynamic") return base;
  const emit = (part: string, opType: string, inputs: readonly string[], attributes = {}): string =>
    emitter.emit(opType, inputs, { attributes, outputs: [`${name}.${part}`] });
  const last = emit("last", "ReduceMax", [positions], { keepdims: { int: 0 } });
  const length = emit("length", "Add", [last, emitter.scalar(1)]);
  const original = emitter.scalar(scaling.originalLength);
  if (scaling.kind === "longrope") {
    const long = row(`${name}.long`, rotaryFrequencies(rope, scaling.originalLength + 1));
    return emit("chosen", "Where", [emit("is_long", "Greater", [length, original]), long, base]);
  }
  const ratio = emit("ratio", "Div", [emit("longest", "Max", [length, original]), original]);
  const grown = emit("grown", "Mul", [ratio, emitter.scalar(scaling.factor)]);
  const stretch = emit("stretch", "Sub", [grown, emitter.scalar(scaling.factor - 1)]);
  const exponents = Array.from({ length: headDim / 2 }, (_, i) => dynamicExponent(i, headDim));
  return emit("chosen", "Mul", [base, emit("factors", "Pow", [stretch, row(`${name}.exponents`, exponents)])]);
}

function integer(value: number, { initializers }: Emitter): string {
  const name = `%i64(${value})`;
  initializers.set(name, { name, dtype: "int64", shape: [], data: BigInt64Array.of(BigInt(value)) });
  return name;
}

function constantPart({ constants: initializers, nodes, inputs, outputs }: DecoderGraph): Uint8Array {
  return encodeModel({ nodes, inputs, outputs, initializers }, PORTABLE_ENCODING);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
