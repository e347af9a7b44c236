import { ShapeError } from "../base/errors.js";
import { add } from "../ops/elementwise.js";
import { broadcastTo, constant } from "../ops/index.js";
import { reachable } from "../tensor/graph.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * Reverse-mode gradients of the scalar `loss` with respect to `wrt`, as tensors of the same graph.
 * A tensor that `loss` does not depend on gets zeros. @throws ShapeError unless `loss` has one element.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.size !== 1) {
    throw new ShapeError(
      `grad: loss must have one element, has shape ${formatShape(loss.shape)}; reduce it with sum or mean`,
    );
  }
  return pullback([loss], [broadcastTo(constant(1), loss.shape)], wrt);
}

/** The loss together with its gradients. */
export function valueAndGrad(loss: Tensor, wrt: readonly Tensor[]): { value: Tensor; gradients: Tensor[] } {
  return { value: loss, gradients: grad(loss, wrt) };
}

/**
 * Vector-Jacobian product: given a cotangent for each output, the sum of their gradients with respect to `wrt`.
 * The walk stops at `wrt`, so these may be intermediate tensors.
 */
export function pullback(outputs: readonly Tensor[], cotangents: readonly Tensor[], wrt: readonly Tensor[]): Tensor[] {
  const sources = new Set(wrt);
  const graph = reachable(outputs);
  const active = new Set<Tensor>();
  for (const node of graph) {
    if (sources.has(node) || node.inputs.some((input) => active.has(input))) active.add(node);
  }
  const gradients = new Map<Tensor, Tensor>();
  const accumulate = (node: Tensor, gradient: Tensor) => {
    const sofar = gradients.get(node);
    gradients.set(node, sofar === undefined ? gradient : add(sofar, gradient));
  };
  outputs.forEach((output, i) => {
    if (active.has(output)) accumulate(output, cotangents[i]!);
  });
  for (const node of graph.reverse()) {
    const dy = gradients.get(node);
    if (dy === undefined || node.op === undefined || sources.has(node)) continue;
    if (node.op.vjp === undefined)
      throw new Error(`grad: ${node.op.name} has no gradient; cast its input out of the graph`);
    if (!sameShape(dy.shape, node.shape)) {
      throw new ShapeError(`grad: ${node} received a gradient of shape ${formatShape(dy.shape)}`);
    }
    node.op.vjp(dy, node.inputs, node).forEach((gradient, i) => {
      const input = node.inputs[i]!;
      if (gradient !== undefined && active.has(input)) accumulate(input, gradient);
    });
    if (!sources.has(node)) gradients.delete(node);
  }
  return wrt.map((node) => gradients.get(node) ?? broadcastTo(constant(0), node.shape));
}
