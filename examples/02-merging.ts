// Merging folds the adapter's change into the weight. The layer goes on computing the same function.
import { Linear, LoRAAdapter, MergeableLinear, Rng, tensor } from "highrank";

const rng = new Rng(1);
const linear = Linear.random(8, 5, rng.fork("weight"), 0.5);
const adapter = new LoRAAdapter(8, 5, { rank: 2 }, rng.fork("adapter"));
const layer = new MergeableLinear(linear, adapter);
// As if it had been trained.
adapter.loraB.assign(Float32Array.from({ length: 5 * 2 }, () => rng.normal()));

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

const x = tensor(
  Float32Array.from({ length: 4 * 8 }, () => rng.normal()),
  [4, 8],
);
const output = (await layer.forward(x).data()).slice();
const weight = layer.weight.values.slice();

for (const round of ["first", "second"]) {
  await layer.mergeAdapter(rng.fork(round));
  const update = await adapter.calculateWeightUpdate().data();
  console.log(`after the ${round} merge`);
  console.log(`  ΔW is ${Math.hypot(...update)}`);
  console.log(`  the weight has moved by up to ${largest(layer.weight.values, weight).toFixed(4)}`);
  console.log(`  the output has moved by less than 1e-5: ${largest(await layer.forward(x).data(), output) < 1e-5}`);
}
