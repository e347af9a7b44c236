// Fine-tunes a model on chats and talks to it.
import { train } from "highrank";

const run = await train(
  {
    model: "HuggingFaceTB/SmolLM2-135M-Instruct",
    data: "examples/chats.jsonl",
    method: "lora",
    rank: 16,
    maxSteps: 40,
  },
  { onStep: ({ step, loss }) => console.log(`step ${step}: loss ${loss.toFixed(2)}`) },
);

const model = await run.load();
for await (const piece of model.chat("Which animal barks?")) process.stdout.write(piece);
console.log();
await model.dispose();
