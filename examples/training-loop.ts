// A training loop of your own: adapters on a loaded model, one compiled graph, AdamW.
import { loadModel } from "highrank";
import { adapterParameters, injectAdapters, LoRAAdapter } from "highrank/adapters";
import { grad } from "highrank/autograd";
import { AdamW } from "highrank/optim";
import { Program } from "highrank/runtime";
import { placeholder, Rng, tensor } from "highrank/tensor";

const model = await loadModel("HuggingFaceTB/SmolLM2-135M-Instruct", { float32: true });
const text = Int32Array.from(await model.encode("A dog barks. A cat purrs. A cow moos. A bee hums."));
const time = text.length - 1;

const createAdapter = (inputs: number, outputs: number, rng: Rng) => new LoRAAdapter(inputs, outputs, { rank: 4 }, rng);
injectAdapters(model.module, { targetModules: ["q_proj", "v_proj"], createAdapter }, new Rng(0));
const parameters = [...adapterParameters(model.module)];

const [ids, labels] = [placeholder("ids", [1, time], "int32"), placeholder("labels", [1, time], "int32")];
const loss = model.module.loss(ids, labels, { scale: tensor([1 / time], []) });
const gradients = grad(
  loss,
  parameters.map(([, parameter]) => parameter),
);
const outputs = Object.fromEntries(parameters.map(([name], i) => [name, gradients[i]!]));
const program = await Program.compile({ loss, ...outputs }, { device: "cpu", threads: 2 });

const values = new Map(parameters.map(([name, parameter]) => [name, parameter.values]));
const optimizer = new AdamW([{ parameters: values, lr: 5e-3, weightDecay: 0 }], { beta1: 0.9, beta2: 0.99, eps: 1e-8 });
for (let step = 1; step <= 10; step++) {
  const results = await program.run({ ids: text.subarray(0, time), labels: text.subarray(1) });
  console.log(`step ${step}: loss ${results.loss!.data[0]!.toFixed(3)}`);
  const gradient = (name: string) => [name, results[name]!.data as Float32Array] as const;
  optimizer.step(new Map(parameters.map(([name]) => gradient(name))), { lrMultiplier: 1 });
}
await program.release();
