// Tensors are nodes of a graph. Checkpointing adds nodes that compute activations again; the gradients stay the same.
import { checkpoint, grad, Linear, mean, mul, Rng, silu, type Tensor, tensor } from "highrank";

const rng = new Rng(3);
const layers = Array.from({ length: 4 }, (_, i) => Linear.random(8, 8, rng.fork(`layer${i}`), 0.5));
const x = tensor(
  Float32Array.from({ length: 5 * 8 }, () => rng.normal()),
  [5, 8],
);

const y = layers[0]!.forward(x);
console.log(`not computed yet: ${y}`);
console.log(`computed now: ${(await y.data()).length} values`);
try {
  layers[0]!.forward(tensor([1, 2, 3], [1, 3]));
} catch (error) {
  console.log(`caught while building: ${(error as Error).message}`);
}

/** How many matrix products the graphs of these tensors hold. */
function countProducts(outputs: readonly Tensor[], seen: Set<Tensor> = new Set()): number {
  for (const output of outputs) {
    if (seen.has(output)) continue;
    seen.add(output);
    countProducts(output.inputs, seen);
  }
  return [...seen].filter(({ op }) => op?.name === "matmul").length;
}

const gradients: Tensor[] = [];
for (const checkpointing of [false, true]) {
  let h = x;
  for (const layer of layers) {
    const block = (input: Tensor): Tensor => silu(layer.forward(input));
    h = checkpointing ? checkpoint(block, h) : block(h);
  }
  const [gradient] = grad(mean(mul(h, h)), [layers[0]!.weight]);
  gradients.push(gradient!);
  console.log(`checkpointing ${checkpointing}: ${countProducts([gradient!])} matrix products`);
}
const [kept, recomputed] = [await gradients[0]!.data(), await gradients[1]!.data()];
console.log(`equal gradients, bit for bit: ${kept.every((value, i) => value === recomputed[i])}`);
