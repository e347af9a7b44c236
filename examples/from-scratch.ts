// Trains a tiny model from random weights with ReLoRA, and lets it go on with a text.
import { mkdir, writeFile } from "node:fs/promises";
import { train } from "highrank";

await mkdir("runs", { recursive: true });
await writeFile("runs/counting.txt", Array.from({ length: 400 }, (_, i) => `${i} and one is ${i + 1}.\n`).join("\n"));

const run = await train(
  { model: "tiny", data: "runs/counting.txt", vocabSize: 280, sequenceLength: 32, rank: 8, maxSteps: 200, lr: 4e-3 },
  { onEval: ({ step, loss }) => console.log(`step ${step}: held-out loss ${loss.toFixed(2)}`) },
);
const merges = run.metrics.filter(({ kind }) => kind === "merge");
console.log(`${merges.length} merges, best loss ${run.bestLoss?.toFixed(2)}`);

const model = await run.load();
console.log(await model.generate("12 and one is", { maxNewTokens: 8, temperature: 0 }));
await model.dispose();
