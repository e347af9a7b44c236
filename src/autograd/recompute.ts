import { append } from "../base/lists.js";
import { reachable } from "../tensor/graph.js";
import { applyOp, type Tensor } from "../tensor/tensor.js";
import { withGradient } from "./custom.js";
import { pullback } from "./grad.js";

/**
 * Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): computes `fn(...inputs)`, keeps none of its intermediate
 * values, and computes them again when the gradient needs them. Values and gradients are bit-equal to those without it,
 * except that a tensor which `fn` reads several times adds up its gradients in another order.
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  const output = fn(...inputs);
  const boundary = new Set(inputs);
  const inner = interior(output, boundary);
  // Parameters and constants that fn closed over receive gradients as the arguments do.
  const captured = new Set<Tensor>();
  for (const node of inner)
    for (const input of node.inputs) if (!boundary.has(input) && input.op === undefined) captured.add(input);
  const sources = [...inputs, ...captured];
  return withGradient(output, sources, (dy, current) => {
    const copies = new Map<Tensor, Tensor>(sources.map((source, i) => [source, current[i]!]));
    for (const node of inner) {
      const copied = node.inputs.map((input) => copies.get(input) ?? input);
      copies.set(node, applyOp(node.op!, copied, node.attributes));
    }
    return pullback([copies.get(output)!], [dy], current);
  });
}

/** The op nodes between `boundary` and `output`, in creation order. */
function interior(output: Tensor, boundary: ReadonlySet<Tensor>): Tensor[] {
  const inside = new Set<Tensor>();
  const visit = [output];
  for (let node = visit.pop(); node !== undefined; node = visit.pop()) {
    if (node.op === undefined || boundary.has(node) || inside.has(node)) continue;
    inside.add(node);
    append(visit, node.inputs);
  }
  return reachable([output]).filter((node) => inside.has(node));
}
