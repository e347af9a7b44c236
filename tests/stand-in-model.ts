import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { writeModelFolder } from "../src/formats/model-folder.js";
import { diskParameters, hostTensors } from "../src/loading/model-source.js";
import { LlamaForCausalLM } from "../src/models/llama.js";
import { llamaConfig, writeLlamaConfig } from "../src/models/llama-config.js";
import { Rng } from "../src/tensor/random.js";
import { trainTokenizer } from "../src/tokenizers/train-tokenizer.js";

const COMMIT = "0".repeat(40);
const TEMPLATE =
  "{% for message in messages %}{{ message.role }}: {{ message.content }}<|endoftext|>\n{% endfor %}" +
  "{% if add_generation_prompt %}assistant: {% endif %}";

/**
 * Puts a small random chat model into a cache of the hub under the name of a real one, so that a program that names
 * that one runs in seconds, with HF_HUB_CACHE as this folder and HF_HUB_OFFLINE=1.
 */
export async function writeStandIn(cacheFolder: string, name: string, texts: readonly string[]): Promise<void> {
  const folder = path.join(cacheFolder, `models--${name.replace("/", "--")}`);
  const maxLength = 512;
  const tokenizer = trainTokenizer([...texts], { vocabSize: 400, maxLength });
  const { vocabSize, endOfTextId } = tokenizer;
  const sizes = { hiddenSize: 32, intermediateSize: 64, numLayers: 2, numHeads: 2 };
  const config = llamaConfig({ ...sizes, vocabSize, endOfTextId, maxSequenceLength: maxLength, initializerRange: 0.2 });
  await writeModelFolder(path.join(folder, "snapshots", COMMIT), {
    config: { ...writeLlamaConfig(config), torch_dtype: "float32" },
    tensors: hostTensors(diskParameters(new LlamaForCausalLM(config, new Rng(0)))),
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
      ["tokenizer_config.json", JSON.stringify({ ...tokenizer.config, chat_template: TEMPLATE })],
    ]),
  });
  await mkdir(path.join(folder, "refs"));
  await writeFile(path.join(folder, "refs", "main"), COMMIT);
}
