// Makes three things of one run: a merged model folder, an adapter for PEFT, and ONNX for transformers.js.
import { exportTo, loadModel, merge, train } from "highrank";

const data = "examples/chats.jsonl";
const run = await train({ model: "HuggingFaceTB/SmolLM2-135M-Instruct", data, method: "lora", maxSteps: 20 });

const merged = await merge(run, { out: `${run.folder}-merged`, verify: true });
console.log(`merging changed the logits by ${merged.verification?.relativeChange.toExponential(0)} of the largest`);

const { rank, layers } = await exportTo(run, "peft", { out: `${run.folder}-peft` });
console.log(`an adapter of rank ${rank} for ${layers} layers`);

const { model } = await exportTo(run, "onnx", { out: `${run.folder}-onnx`, dtype: "float16" });
console.log(`${model}, which transformers.js loads`);

const loaded = await loadModel(merged.modelFolder);
console.log(await loaded.chat("Which animal barks?", { maxNewTokens: 20, temperature: 0 }));
await loaded.dispose();
