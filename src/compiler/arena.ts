import { largest } from "../base/numbers.js";
import { bytesPerElement } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import { BestFitArena } from "./best-fit-arena.js";
import type { CompiledGraph } from "./compile.js";
import type { OnnxData, OnnxNode } from "./onnx-model.js";
import { executionOrder } from "./order.js";

/**
 * Operators whose kernels overwrite their first input if it has the shape of the output and no other reader left: those
 * of ONNX Runtime 1.30's CPU provider, of which arithmetic is none.
 */
const IN_PLACE: ReadonlySet<string> = new Set(["Cast", "Identity", "ScatterElements", "Sigmoid", "Softmax", "Tanh"]);

/** Memory of a graph's values on ONNX Runtime's CPU provider, in bytes. */
export interface ArenaUse {
  /** Memory that becomes resident, results included. */
  readonly bytes: number;
  /** Memory of the results, which live to the end of a run. */
  readonly results: number;
}

/**
 * Memory that a run takes on ONNX Runtime's CPU provider for the outputs of its nodes, in an arena that splits and
 * joins chunks as ONNX Runtime's does. Inputs and constants are not counted.
 */
export function arenaUse(compiled: CompiledGraph): ArenaUse {
  const { nodes, outputs } = compiled.graph;
  const order = executionOrder(nodes);
  const sizes = valueSizes(compiled, order);
  const results = new Set(outputs.map(({ name }) => name));
  const owners = planBuffers(compiled, order, sizes, results);
  const ownerOf = (name: string): string => owners.get(name) ?? name;
  const lastReader = new Map<string, number>();
  for (const index of order) for (const input of nodes[index]!.inputs) lastReader.set(ownerOf(input), index);

  const arena = new BestFitArena();
  const held = new Set<string>();
  for (const index of order) {
    const node = nodes[index]!;
    for (const output of node.outputs) {
      if (output === "" || owners.has(output)) continue;
      arena.allocate(output, sizes.get(output)!);
      held.add(output);
    }
    const scratch = scratchBytes(node);
    if (scratch > 0) {
      arena.allocate(SCRATCH, scratch);
      arena.release(SCRATCH);
    }
    for (const owner of node.inputs.map(ownerOf)) {
      if (lastReader.get(owner) === index && !results.has(owner) && held.delete(owner)) arena.release(owner);
    }
  }
  return { bytes: arena.touchedBytes, results: [...results].reduce((sum, name) => sum + sizes.get(name)!, 0) };
}

/** Bytes of all values that nodes make. */
function valueSizes({ graph, values }: CompiledGraph, order: readonly number[]): Map<string, number> {
  const constants = new Map(graph.initializers.map(({ name, data }) => [name, data] as const));
  const sizes = new Map<string, number>();
  for (const [name, { dtype, shape }] of values) sizes.set(name, bytesPerElement(dtype) * sizeOf(shape));
  for (const index of order) {
    const node = graph.nodes[index]!;
    for (const output of node.outputs) {
      if (output !== "" && !sizes.has(output)) sizes.set(output, innerBytes(node, sizes, constants));
    }
  }
  return sizes;
}

/**
 * The value in whose memory each value lies that has none of its own, as ONNX Runtime plans it before the first run:
 * reshapes take that of their input, some operators overwrite an input, and the others take that of a value of the same
 * shape that nothing reads anymore. Memory that is taken over is held in between: a shape that comes back in each layer
 * is held from the first layer to the last.
 */
function planBuffers(
  { graph: { nodes }, values }: CompiledGraph,
  order: readonly number[],
  sizes: ReadonlyMap<string, number>,
  results: ReadonlySet<string>,
): Map<string, string> {
  const owners = new Map<string, string>();
  const ownerOf = (name: string): string => owners.get(name) ?? name;
  const kindOf = (name: string): string => {
    const spec = values.get(name);
    return spec === undefined ? `${sizes.get(name)}` : `${bytesPerElement(spec.dtype)}x${spec.shape}`;
  };
  const readsLeft = new Map<string, number>();
  const addReads = (name: string, reads: number): number => {
    const left = (readsLeft.get(name) ?? 0) + reads;
    readsLeft.set(name, left);
    return left;
  };
  for (const node of nodes) for (const input of node.inputs) addReads(input, 1);
  for (const result of results) addReads(result, 1);

  const made = new Set<string>();
  /** Memory that nothing reads, the latest last. */
  const free = new Map<string, string[]>();
  for (const index of order) {
    const { opType, inputs, outputs } = nodes[index]!;
    for (const [at, output] of outputs.entries()) {
      if (output === "") continue;
      const kind = kindOf(output);
      const input = ownerOf(inputs[0] ?? "");
      const overwrites = at === 0 && IN_PLACE.has(opType) && readsLeft.get(input) === 1 && kindOf(inputs[0]!) === kind;
      const takes = opType === "Reshape" || (overwrites && made.has(input));
      const owner = results.has(output) ? undefined : takes ? input : free.get(kind)?.pop();
      if (owner === undefined) {
        made.add(output);
      } else {
        owners.set(output, owner);
        addReads(owner, readsLeft.get(output) ?? 0);
      }
    }
    for (const input of inputs) {
      const owner = ownerOf(input);
      if (addReads(owner, -1) > 0 || !made.has(owner)) continue;
      const kind = kindOf(owner);
      free.set(kind, [...(free.get(kind) ?? []), owner]);
    }
  }
  return owners;
}

const SCRATCH = "scratch";

/** Bytes of a value inside one primitive's lowering, whose shape the graph does not know. */
function innerBytes(
  { opType, inputs }: OnnxNode,
  sizes: ReadonlyMap<string, number>,
  constants: ReadonlyMap<string, OnnxData>,
): number {
  const constant = (at: number): number[] => Array.from(constants.get(inputs[at]!) ?? [], Number);
  const sizeOfInput = (name: string): number => sizes.get(name) ?? 0;
  switch (opType) {
    case "Concat":
      return inputs.reduce((sum, input) => sum + sizeOfInput(input), 0);
    case "Expand":
      return 4 * sizeOf(constant(1));
    case "Slice": // of a vector
      return 4 * (constant(2)[0]! - constant(1)[0]!);
    default:
      return largest(inputs.map(sizeOfInput), 0);
  }
}

/** Scratch memory of a kernel, in bytes. */
function scratchBytes({ opType, attributes }: OnnxNode): number {
  if (opType !== "MatMulBnb4") return 0;
  // The weight in float32.
  const { K, N } = attributes as Record<string, { int: number }>;
  return 4 * K!.int * N!.int;
}
