// Loads GGUF files in llama.cpp, and prints of each the tokens of texts, and of a prompt the log probabilities after it
// and the likeliest tokens that follow.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

// Keys and values are kept in 16 bits otherwise.
const CACHE = { experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32" };
const requests = JSON.parse(process.argv[2]);
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 1 });
const answers = [];
for (const { file, lora, texts, ids, following = 0 } of requests) {
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  const tokens = texts.map((text) => model.tokenize(text, true));
  if (ids.length === 0) {
    answers.push({ tokens });
    await model.dispose();
    continue;
  }
  const context = await model.createContext({ contextSize: 64, threads: 1, flashAttention: false, lora, ...CACHE });
  const sequence = context.getSequence();
  /** The probability of each token after these. */
  const after = async (tokens) => {
    const input = tokens.map((id, i) => (i < tokens.length - 1 ? id : [id, { generateNext: { probabilities: true } }]));
    return [...(await sequence.controlledEvaluate(input)).at(-1).next.probabilities];
  };
  let probabilities = await after(ids);
  const logProbabilities = probabilities.toSorted(([a], [b]) => a - b).map(([, each]) => Math.log(each));
  const next = [];
  while (next.length < following) {
    if (next.length > 0) probabilities = await after([next.at(-1)]);
    next.push(probabilities.reduce((best, each) => (each[1] > best[1] ? each : best))[0]);
  }
  answers.push({ tokens, logProbabilities, next });
  await context.dispose();
  await model.dispose();
}
process.stdout.write(`${JSON.stringify(answers)}\n`, () => process.exit(0));
