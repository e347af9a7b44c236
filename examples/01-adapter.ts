// An adapter by itself: it starts out changing nothing, and one gradient step makes it change something.
import { grad, LoRAAdapter, mean, mul, Rng, sub, type Tensor, tensor } from "highrank";

const norm = async (x: Tensor): Promise<string> => Math.hypot(...(await x.data())).toFixed(4);

const rng = new Rng(0);
const adapter = new LoRAAdapter(6, 4, { rank: 2 }, rng); // 6 inputs, 4 outputs
console.log(`loraA (${adapter.loraA.shape}), norm ${await norm(adapter.loraA)}`);
console.log(`loraB (${adapter.loraB.shape}), norm ${await norm(adapter.loraB)}`);
console.log(`ΔW = B·A (${adapter.calculateWeightUpdate().shape}), norm ${await norm(adapter.calculateWeightUpdate())}`);

// Three rows of input and what the adapter should add to the output for them.
const x = tensor(
  Float32Array.from({ length: 3 * 6 }, () => rng.normal()),
  [3, 6],
);
const target = tensor(
  Float32Array.from({ length: 3 * 4 }, () => rng.normal()),
  [3, 4],
);
const error = sub(adapter.forward(x), target);
const loss = mean(mul(error, error));
const [gradientOfA, gradientOfB] = grad(loss, [adapter.loraA, adapter.loraB]);
console.log(`gradient of A: norm ${await norm(gradientOfA!)}, because it goes through B, which is zero`);
console.log(`gradient of B: norm ${await norm(gradientOfB!)}`);

const before = await loss.item();
const step = await gradientOfB!.data();
adapter.loraB.assign(adapter.loraB.values.map((b, i) => b - 0.5 * step[i]!));
// The expressions above are lazy: asked again, they are computed from the parameters as they are now.
console.log(`one step: loss ${before.toFixed(4)} -> ${(await loss.item()).toFixed(4)}`);
console.log(`ΔW: norm ${await norm(adapter.calculateWeightUpdate())}`);
