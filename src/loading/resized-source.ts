import type { LazyTensor } from "../formats/lazy-tensor.js";
import { readHostTensor, type TensorToWrite } from "../formats/lazy-tensor.js";
import { fromStorage } from "../formats/model-tensors.js";
import type { ReadPeftAdapter } from "../formats/peft.js";
import { describeModel } from "../models/architectures.js";
import { Rng } from "../tensor/random.js";
import { type ModelSource, tiedNames } from "./model-source.js";

/**
 * The base of an adapter with the vocabulary that it was trained with: where tokens were added, PEFT saves the whole
 * embedding table and output projection beside the adapter, and these are of another size than the base's. The base
 * itself where they are not, or it is quantized.
 */
export function resizedSource(source: ModelSource, { modulesToSave }: ReadPeftAdapter): ModelSource {
  const model = source.build();
  const { embeddings, head } = tiedNames(model);
  const saved = fromStorage<TensorToWrite>(modulesToSave, model.storage).tensors;
  const names = head === undefined ? [embeddings, model.checkpointName("lmHead.weight")] : [embeddings];
  const tables = names.flatMap((name) => saved.get(name) ?? []);
  const [rows] = tables.map(({ shape }) => shape[0]!);
  const fits = tables.length === names.length && tables.every(({ shape }) => shape[0] === rows);
  if (!fits || rows === model.config.vocabSize || source.quantized.size > 0) return source;
  const config = { ...source.config, vocab_size: rows };
  const tensors = new Map<string, LazyTensor>(source.tensors);
  for (const [i, name] of names.entries()) {
    const { dtype, shape } = tables[i]!;
    tensors.set(name, { dtype, shape, read: async () => (await readHostTensor(tables[i]!)).data });
  }
  return {
    config,
    tensors,
    quantized: source.quantized,
    build: () => describeModel(config).create(new Rng(0)),
    readWeight: async (name) => (await tensors.get(name)!.read()) as Float32Array,
  };
}
