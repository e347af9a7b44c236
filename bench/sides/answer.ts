// What a token costs in highrank with a model from its files. Prints one line of JSON.
import { parseArgs } from "node:util";
import { loadModel } from "../../src/verbs/model.js";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    prompt: { type: "string" },
    tokens: { type: "string" },
    prompts: { type: "string", default: "1" },
    threads: { type: "string" },
    "keep-quantized": { type: "boolean", default: false },
  },
});
const tokens = Number(flags.tokens);
const prompts = Array.from({ length: Number(flags.prompts) }, () => flags.prompt!);
const model = await loadModel(flags.model!, { threads: Number(flags.threads), keepQuantized: flags["keep-quantized"] });

/** The time of one token after another, and the text of the first prompt. */
async function answer(maxNewTokens: number): Promise<{ ms: number; text: string }> {
  const options = { maxNewTokens, temperature: 0 };
  const begun = performance.now();
  let first: string | undefined;
  if (prompts.length === 1) first = await model.generate(prompts[0]!, options);
  else
    for await (const { text } of model.generateMany(prompts, { ...options, batchSize: prompts.length })) first ??= text;
  return { ms: performance.now() - begun, text: first! };
}

await answer(8);
// Without the prompt, which both have read.
const [short, long] = [await answer(8), await answer(8 + tokens)];
console.log(
  JSON.stringify({
    ms: (long.ms - short.ms) / tokens / prompts.length,
    text: long.text,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  }),
);
