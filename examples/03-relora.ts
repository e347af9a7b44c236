// ReLoRA on a module of your own. Each cycle changes the weight by a matrix of rank 2; merged one after another, they add
// up to a change of higher rank, which the target asks for and one adapter of rank 2 cannot make.
import {
  AdamW,
  add,
  grad,
  injectAdapters,
  Linear,
  LoRAAdapter,
  type LowRankTerm,
  Module,
  mean,
  mergeAdapters,
  mul,
  Program,
  Rng,
  resetOptimizerState,
  silu,
  singularValues,
  sub,
  type Tensor,
  tensor,
} from "highrank";

const SIZE = 12;

class Network extends Module {
  mix: Linear = Linear.random(SIZE, SIZE, new Rng(0, "mix"), 0.3);
  readOut: Linear = Linear.random(SIZE, SIZE, new Rng(0, "readOut"), 0.3);
  forward(x: Tensor): Tensor {
    return this.readOut.forward(add(x, silu(this.mix.forward(x))));
  }
}

// The target is the same network with another readOut: their difference has rank 12.
const rng = new Rng(1);
const teacher = new Network();
teacher.readOut.weight.assign(teacher.readOut.weight.values.map((w) => w + 0.5 * rng.normal()));
const x = tensor(
  Float32Array.from({ length: 64 * SIZE }, () => rng.normal()),
  [64, SIZE],
);
const target = tensor(await teacher.forward(x).data(), [64, SIZE]);

const model = new Network();
const createAdapter = (inputs: number, outputs: number, stream: Rng): LoRAAdapter =>
  new LoRAAdapter(inputs, outputs, { rank: 2 }, stream);
const adapted = injectAdapters(model, { targetModules: ["readOut"], createAdapter }, rng.fork("adapters"));
const adapter = adapted.get("readOut")!.adapter as LoRAAdapter;
const { loraA, loraB } = adapter;

const error = sub(model.forward(x), target);
const loss = mean(mul(error, error));
const [a, b] = grad(loss, [loraA, loraB]);
const program = await Program.compile({ loss, a: a!, b: b! }, { device: "cpu", threads: 1 });
const parameters = new Map([
  ["a", loraA.values],
  ["b", loraB.values],
]);
const optimizer = new AdamW([{ parameters, lr: 0.05, weightDecay: 0 }], { beta1: 0.9, beta2: 0.99, eps: 1e-8 });

const terms: LowRankTerm[] = [];
for (let cycle = 1; cycle <= 6; cycle++) {
  for (let step = 0; step < 150; step++) {
    const results = await program.run();
    const gradients = new Map([...parameters.keys()].map((name) => [name, results[name]!.data as Float32Array]));
    optimizer.step(gradients, { lrMultiplier: 1 - step / 150 });
  }
  terms.push(await adapter.learned());
  await mergeAdapters(model, rng.fork(`cycle ${cycle}`));
  resetOptimizerState(optimizer.state, { method: "reset" }, rng);
  const rank = singularValues(terms, SIZE, SIZE).filter((value) => value > 0.1).length;
  console.log(`cycle ${cycle}: loss ${(await loss.item()).toFixed(4)}, rank of the sum of updates ${rank}`);
}
await program.release();
