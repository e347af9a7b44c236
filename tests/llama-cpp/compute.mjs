// Loads GGUF files in llama.cpp, and prints of each the tokens of texts and the log probabilities after a prompt.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const requests = JSON.parse(process.argv[2]);
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 1 });
const answers = [];
for (const { file, texts, ids } of requests) {
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  const context = await model.createContext({ contextSize: 64, threads: 1, flashAttention: false });
  const input = ids.map((id, i) => (i < ids.length - 1 ? id : [id, { generateNext: { probabilities: true } }]));
  const evaluated = await context.getSequence().controlledEvaluate(input);
  const probabilities = [...evaluated.at(-1).next.probabilities];
  answers.push({
    tokens: texts.map((text) => model.tokenize(text, true)),
    logProbabilities: probabilities.sort(([a], [b]) => a - b).map(([, probability]) => Math.log(probability)),
  });
  await context.dispose();
  await model.dispose();
}
console.log(JSON.stringify(answers));
process.exit(0);
