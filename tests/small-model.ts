import path from "node:path";
import { storeAs } from "../src/files/lazy-tensor.js";
import { readSafetensors, writeSafetensors } from "../src/files/safetensors.js";
import type { SafetensorsDType } from "../src/files/safetensors-header.js";
import { writeModelFolder } from "../src/formats/model-folder.js";
import { diskParameters, hostTensors } from "../src/loading/model-source.js";
import { LlamaForCausalLM } from "../src/models/llama.js";
import { llamaConfig, writeLlamaConfig } from "../src/models/llama-config.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { Rng } from "../src/tensor/random.js";
import { trainTokenizer } from "../src/tokenizers/train-tokenizer.js";

/** What the tokenizer of small models has learned on. */
export const TEXT: string = Array.from({ length: 60 }, (_, i) => `The ${i % 7}th cat sat on mat number ${i}.`).join(
  "\n\n",
);

export interface SmallModelOptions {
  readonly fileType?: SafetensorsDType;
  readonly seed?: number;
  /** Weights are 24 × 16, 16 × 24 or 16 × 16. */
  readonly numLayers?: number;
  readonly maxSequenceLength?: number;
  readonly change?: (tensors: Map<string, HostTensor>) => void;
}

/** Writes a random model folder with a tokenizer. */
export async function writeSmallModel(
  folder: string,
  { fileType = "F32", seed = 0, numLayers = 2, maxSequenceLength = 32, change }: SmallModelOptions = {},
): Promise<void> {
  const tokenizer = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: maxSequenceLength });
  const sizes = { hiddenSize: 16, intermediateSize: 24, numLayers, numHeads: 2 };
  const { vocabSize, endOfTextId } = tokenizer;
  const config = llamaConfig({ ...sizes, vocabSize, endOfTextId, maxSequenceLength, initializerRange: 0.2 });
  const tensors = hostTensors(diskParameters(new LlamaForCausalLM(config, new Rng(seed))));
  const stored = () => new Map([...tensors].map(([name, tensor]) => [name, storeAs(tensor, fileType)] as const));
  await writeModelFolder(folder, {
    config: { ...writeLlamaConfig(config), torch_dtype: { F32: "float32", BF16: "bfloat16" }[fileType as string] },
    tensors: stored(),
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
      ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
    ]),
  });
  if (change === undefined) return;
  // A model folder takes no numbers that are not finite.
  change(tensors);
  await writeSafetensors(path.join(folder, "model.safetensors"), stored());
}

/** Changes the tensors of a model folder. */
export async function changeTensors(folder: string, change: (tensors: Map<string, HostTensor>) => void): Promise<void> {
  const file = path.join(folder, "model.safetensors");
  const { tensors, metadata } = await readSafetensors(file);
  change(tensors);
  await writeSafetensors(file, tensors, metadata);
}
