import type { LazyTensor } from "../files/lazy-tensor.js";
import { readHostTensor, type TensorToWrite } from "../files/lazy-tensor.js";
import { fromStorage } from "../formats/model-tensors.js";
import type { ReadPeftAdapter } from "../formats/peft.js";
import { describeModel } from "../models/architectures.js";
import { Rng } from "../tensor/random.js";
import { diskParameters, type ModelSource, tiedNames } from "./model-source.js";

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

/**
 * A model with more rows in the tables of its vocabulary. New rows are the mean of the others, as transformers has it
 * (`mean_resizing`) without its noise: they differ once they are trained. The model itself if it has as many already.
 */
export function extendedSource(source: ModelSource, rows: number): ModelSource {
  const present = source.build().config.vocabSize;
  if (rows <= present) return source;
  const config = { ...source.config, vocab_size: rows };
  const build = () => describeModel(config).create(new Rng(0));
  const tensors = new Map<string, LazyTensor>(source.tensors);
  for (const [name, { shape }] of diskParameters(build())) {
    const tensor = source.tensors.get(name);
    if (tensor === undefined || tensor.shape[0] === shape[0]) continue;
    const read = async (): Promise<Float32Array> => withMeanRows((await tensor.read()) as Float32Array, present, rows);
    tensors.set(name, { dtype: "float32", shape, read });
  }
  const readWeight = async (name: string) => (await tensors.get(name)!.read()) as Float32Array;
  return { config, tensors, quantized: source.quantized, build, readWeight };
}

function withMeanRows(values: Float32Array, present: number, rows: number): Float32Array {
  const width = values.length / present;
  const mean = new Float64Array(width);
  for (let i = 0; i < values.length; i++) mean[i % width]! += values[i]! / present;
  const all = new Float32Array(rows * width);
  all.set(values);
  for (let row = present; row < rows; row++) all.set(mean, row * width);
  return all;
}
