import { largest } from "../base/numbers.js";
import { bytesPerElement } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import { BestFitArena } from "./best-fit-arena.js";
import type { CompiledGraph } from "./compile.js";
import type { OnnxData, OnnxNode } from "./onnx-model.js";
import { executionOrder } from "./order.js";

/**
 * Operators whose kernels may overwrite an input of the same size that has no other reader left, with the indices of
 * those inputs (ONNX Runtime's CPU provider, MayInplace in its kernel definitions).
 */
const IN_PLACE: Readonly<Record<string, readonly number[]>> = {
  Add: [0, 1],
  Cast: [0],
  Div: [0, 1],
  Exp: [0],
  Mul: [0, 1],
  Neg: [0],
  Reciprocal: [0],
  ScatterElements: [0],
  Sigmoid: [0],
  Softmax: [0],
  Sqrt: [0],
  Sub: [0, 1],
};

/** Memory of a graph's values on ONNX Runtime's CPU provider, in bytes. */
export interface ArenaUse {
  /** Memory that becomes resident, results included. */
  readonly bytes: number;
  /** Memory of the results, which live to the end of a run. */
  readonly results: number;
}

/**
 * Memory that a run takes on ONNX Runtime's CPU provider for the outputs of its nodes. Every value lives from its node
 * to its last reader in execution order, in an arena that splits and joins chunks as ONNX Runtime's does. Inputs and
 * constants are not counted.
 */
export function arenaUse({ graph, values }: CompiledGraph): ArenaUse {
  const { nodes } = graph;
  const constants = new Map(graph.initializers.map(({ name, data }) => [name, data] as const));
  const sizes = new Map<string, number>();
  for (const [name, { dtype, shape }] of values) sizes.set(name, bytesPerElement(dtype) * sizeOf(shape));
  const results = new Set(graph.outputs.map(({ name }) => name));
  const readsLeft = new Map<string, number>();
  const addReads = (name: string, reads: number): void => void readsLeft.set(name, (readsLeft.get(name) ?? 0) + reads);
  for (const node of nodes) for (const input of node.inputs) addReads(input, 1);
  for (const result of results) addReads(result, 1);

  const arena = new BestFitArena();
  const held = new Set<string>();
  const allocate = (name: string): void => {
    arena.allocate(name, sizes.get(name)!);
    held.add(name);
  };
  const releaseIfUnread = (name: string): void => {
    if (!readsLeft.get(name) && held.delete(name)) arena.release(name);
  };
  // A value that lies in another's memory is counted under the other's name.
  const owners = new Map<string, string>();
  for (const index of executionOrder(nodes)) {
    const node = nodes[index]!;
    const inputs = node.inputs.map((name) => owners.get(name) ?? name);
    const outputs = node.outputs.filter((name) => name !== "");
    for (const output of outputs) if (!sizes.has(output)) sizes.set(output, innerBytes(node, sizes, constants));
    const [first] = outputs as [string];
    const canTake = (input: string): boolean =>
      held.has(input) &&
      readsLeft.get(input) === inputs.filter((other) => other === input).length &&
      sizes.get(input) === sizes.get(first);
    const candidates = (IN_PLACE[node.opType] ?? []).map((at) => inputs[at]!);
    const owner = results.has(first) ? undefined : node.opType === "Reshape" ? inputs[0] : candidates.find(canTake);
    if (owner === undefined) {
      outputs.forEach(allocate);
    } else {
      owners.set(first, owner);
      addReads(owner, readsLeft.get(first) ?? 0);
    }
    const scratch = scratchBytes(node);
    if (scratch > 0) {
      arena.allocate(SCRATCH, scratch);
      arena.release(SCRATCH);
    }
    for (const input of inputs) addReads(input, -1);
    for (const name of [...inputs, ...outputs]) releaseIfUnread(name);
  }
  return { bytes: arena.touchedBytes, results: [...results].reduce((sum, name) => sum + sizes.get(name)!, 0) };
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
