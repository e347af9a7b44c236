// Answers messages with an exported folder, greedily, for each dtype, and prints the answers.
import { env, pipeline } from "@huggingface/transformers";

const { root, model, device, dtypes, messages, maxNewTokens } = JSON.parse(process.argv[2]);
env.allowRemoteModels = false;
env.localModelPath = `${root}/`;

const answers = [];
for (const dtype of dtypes) {
  const generator = await pipeline("text-generation", model, { dtype, device });
  const [{ generated_text: chat }] = await generator(messages, { max_new_tokens: maxNewTokens, do_sample: false });
  answers.push({ dtype, answer: chat.at(-1).content });
  await generator.dispose();
}
console.log(JSON.stringify(answers));
