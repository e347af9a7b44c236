// Goes on with a PEFT adapter: its rank, targets and factors are where training starts. Its folder may be of PEFT.
import { train } from "highrank";

const settings = {
  model: "HuggingFaceTB/SmolLM2-135M-Instruct",
  data: "examples/chats.jsonl",
  method: "lora",
} as const;
const first = await train({ ...settings, rank: 8, targetModules: ["q_proj", "v_proj"], maxSteps: 20 });

const second = await train({ ...settings, adapterFrom: `${first.folder}/adapter`, maxSteps: 20 });
console.log(`held-out loss ${first.finalLoss?.toFixed(2)}, then ${second.finalLoss?.toFixed(2)}`);
console.log(`the adapter goes on in ${second.folder}/adapter`);
