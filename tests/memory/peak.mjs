// Prints by how many bytes a training step raises the highest resident memory of this process:
// node peak.mjs OPTIONS, with OPTIONS as JSON: sizes of the model, batch, time, checkpointing, chunkSize.
import { readFileSync } from "node:fs";
import {
  grad,
  LlamaForCausalLM,
  llamaConfig,
  Program,
  placeholder,
  Rng,
  trainableParameters,
} from "../../dist/index.js";

const { batch, time, checkpointing, chunkSize, ...sizes } = JSON.parse(process.argv[2]);
const model = new LlamaForCausalLM(llamaConfig(sizes), new Rng(0));
const [ids, labels] = ["ids", "labels"].map((name) => placeholder(name, [batch, time], "int32"));
const loss = model.loss(ids, labels, { checkpointing, chunkSize });
const gradients = grad(loss, trainableParameters(model));
const program = await Program.compile(
  { loss, ...Object.fromEntries(gradients.map((gradient, i) => [`gradient${i}`, gradient])) },
  { device: "cpu", threads: 2 },
);
const tokens = Int32Array.from({ length: batch * time }, (_, i) => (7 * i) % sizes.vocabSize);
const before = highest();
await program.run({ ids: tokens, labels: tokens });
console.log(highest() - before);
await program.release();

function highest() {
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}
