import { allocate } from "../tensor/dtype.js";
import { reachable } from "../tensor/graph.js";
import { heldValues, type NumericArray, type Tensor } from "../tensor/tensor.js";

export interface ReferenceOptions {
  /** Type that float tensors are computed in: float64 to check gradients by finite differences. Default float32. */
  readonly precision?: "float32" | "float64";
  /** Arrays for placeholders, by name. */
  readonly feeds?: Readonly<Record<string, ArrayLike<number>>>;
}

/** Computes `outputs` with the plain-loop kernels: slow, but the reference for every device. */
export function interpret(
  outputs: readonly Tensor[],
  { precision = "float32", feeds = {} }: ReferenceOptions = {},
): NumericArray[] {
  const values = new Map<Tensor, NumericArray>();
  for (const node of reachable(outputs)) {
    if (node.op === undefined) {
      values.set(node, leafValues(node, precision, feeds));
      continue;
    }
    const y = allocateNumeric(node, precision);
    node.op.reference(
      y,
      node.inputs.map((input) => values.get(input)!),
      { shape: node.shape, inputShapes: node.inputs.map((input) => input.shape), attributes: node.attributes },
    );
    values.set(node, y);
  }
  return outputs.map((output) => values.get(output)!);
}

function leafValues(
  leaf: Tensor,
  precision: "float32" | "float64",
  feeds: Readonly<Record<string, ArrayLike<number>>>,
): NumericArray {
  const array = allocateNumeric(leaf, precision);
  if (leaf.source?.kind === "data") {
    array.set(heldValues(leaf.source));
  } else {
    const name = leaf.source?.name ?? "";
    const given = feeds[name];
    if (given === undefined) throw new Error(`interpret: no values for placeholder "${name}"`);
    array.set(given);
  }
  return array;
}

function allocateNumeric({ dtype, size }: Tensor, precision: "float32" | "float64"): NumericArray {
  if (dtype !== "float32") return allocate(dtype, size);
  return precision === "float64" ? new Float64Array(size) : new Float32Array(size);
}
