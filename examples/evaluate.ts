// Scores a model on data before and after training: the mean loss of what the assistant says, and the perplexity.
import { evaluate, train } from "highrank";

const [model, data] = ["HuggingFaceTB/SmolLM2-135M-Instruct", "examples/chats.jsonl"];
const before = await evaluate(model, { data });

const run = await train({ model, data, method: "lora", maxSteps: 20 });
const after = await evaluate(run, { data });
for (const { loss, perplexity, tokens } of [before, after]) {
  console.log(`loss ${loss.toFixed(2)}, perplexity ${perplexity.toFixed(1)} of ${tokens} tokens`);
}
