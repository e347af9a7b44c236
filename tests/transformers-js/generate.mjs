// Continues tokens and a text with an exported folder, greedily, and prints both.
import { AutoModelForCausalLM, env, pipeline, Tensor } from "@huggingface/transformers";

const { root, model, ids, text, maxNewTokens, dtype } = JSON.parse(process.argv[2]);
env.allowRemoteModels = false;
env.localModelPath = root;

const options = { max_new_tokens: maxNewTokens, do_sample: false };
const loaded = await AutoModelForCausalLM.from_pretrained(model, { dtype });
const inputs = {
  input_ids: new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
  attention_mask: new Tensor("int64", new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
};
const sequences = await loaded.generate({ ...inputs, ...options });
const generator = await pipeline("text-generation", model, { dtype });
const [alone] = await generator(text, options);
const [[first], [second]] = await generator([text, "A"], options);
console.log(
  JSON.stringify({
    ids: Array.from(sequences.data, Number).slice(ids.length),
    text: alone.generated_text,
    together: [first.generated_text, second.generated_text],
  }),
);
