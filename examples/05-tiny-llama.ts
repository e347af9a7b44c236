// A tiny LLaMA learns one sentence, in one compiled graph of forward pass, loss and gradients.
import {
  AdamW,
  grad,
  LlamaForCausalLM,
  llamaConfig,
  namedParameters,
  Program,
  placeholder,
  Rng,
  tensor,
} from "highrank";

const TEXT = "she sells sea shells by the sea shore. ";
const symbols = [...new Set(TEXT)];
const encode = (text: string): Int32Array => Int32Array.from(text, (symbol) => symbols.indexOf(symbol));

const sizes = { hiddenSize: 32, intermediateSize: 64, numLayers: 2, numHeads: 4, numKeyValueHeads: 2 };
const model = new LlamaForCausalLM(llamaConfig({ ...sizes, vocabSize: symbols.length }), new Rng(0));
const parameters = namedParameters(model);

const TIME = 32;
const [ids, labels] = [placeholder("ids", [1, TIME], "int32"), placeholder("labels", [1, TIME], "int32")];
const loss = model.loss(ids, labels, { scale: tensor([1 / TIME], []) });
const gradients = grad(loss, [...parameters.values()]);
const names = [...parameters.keys()];
const outputs = Object.fromEntries(names.map((name, i) => [name, gradients[i]!]));
const program = await Program.compile({ loss, ...outputs }, { device: "cpu", threads: 1 });

const values = new Map([...parameters].map(([name, parameter]) => [name, parameter.values]));
const adam = { beta1: 0.9, beta2: 0.99, eps: 1e-8 };
const optimizer = new AdamW([{ parameters: values, lr: 3e-3, weightDecay: 0.01 }], adam);
for (let step = 0; step <= 120; step++) {
  const start = (step * 7) % TEXT.length;
  const row = encode((TEXT + TEXT).slice(start, start + TIME + 1));
  const results = await program.run({ ids: row.subarray(0, TIME), labels: row.subarray(1) });
  if (step % 30 === 0) console.log(`step ${step}: loss ${results.loss!.data[0]!.toFixed(3)}`);
  optimizer.step(new Map(names.map((name) => [name, results[name]!.data as Float32Array])), { lrMultiplier: 1 });
}
await program.release();

let text = "she sells";
while (text.length < TEXT.length - 1) {
  const logits = await model.logits(tensor(encode(text), [1, text.length])).data();
  const next = logits.slice(-symbols.length);
  text += symbols[next.indexOf(Math.max(...next))];
}
console.log(text);
