import { linearLayers } from "../adapters/inject.js";
import { addTerms } from "../adapters/low-rank-term.js";
import { selectModules } from "../adapters/target-modules.js";
import { suggest } from "../base/suggest.js";
import { checkpointFault } from "../formats/faults.js";
import { type LazyTensor, readHostTensor, type TensorToWrite } from "../formats/lazy-tensor.js";
import { fromStorage, transposed } from "../formats/model-tensors.js";
import { loraScalings, type ReadPeftAdapter } from "../formats/peft.js";
import { type LoraPair, readPair, termOf } from "../formats/peft-tensors.js";
import { type CausalLM, LanguageModelHead } from "../models/causal-lm.js";
import { Embedding } from "../nn/embedding.js";
import { moduleSlots } from "../nn/module.js";
import type { HostTensor } from "../tensor/dtype.js";
import { formatShape, type Shape, sameShape } from "../tensor/shape.js";
import { diskParameters, type ModelSource } from "./model-source.js";
import type { LayerUpdate } from "./updated-linear.js";

/** The changes that a PEFT adapter makes to its base. */
export interface PeftEffect {
  /** Parameters in place of those of the base, as the model names and shapes them; read when they are asked for. */
  readonly replaced: ReadonlyMap<string, LazyTensor>;
  /** Updates beside the weights of linear layers. */
  readonly updates: ReadonlyMap<string, LayerUpdate>;
}

/**
 * Computes the changes of the adapter. Adapters and trained rows of embedding tables, and adapters of the output
 * projection, are added to a copy of the table; all else stays beside the weights.
 * @throws CheckpointError that names every tensor without a place in the model, every module that lacks its tensors,
 * and every change that would untie tied weights.
 */
export function peftEffect(
  adapter: ReadPeftAdapter,
  { readWeight }: ModelSource,
  model: CausalLM,
  where: string,
): PeftEffect {
  const faults: string[] = [];
  const replaced = savedParameters(adapter, model, faults);
  const updates = new Map<string, LayerUpdate>();
  const linears = linearLayers(model);
  const tables = tablesOf(model);
  const scalings = loraScalings([...adapter.layers.keys(), ...adapter.embeddings.keys()], adapter);
  requireTargets(adapter, [...linears.keys()], [...tables.keys()], faults);
  const changeTable = (module: string, change: (table: Float32Array) => Promise<Float32Array>): void => {
    const name = `${module}.weight`;
    const before = replaced.get(name);
    const readBefore = async (): Promise<Float32Array> =>
      before === undefined ? readWeight(name) : ((await before.read()) as Float32Array);
    const { shape } = tables.get(module)!;
    replaced.set(name, { dtype: "float32", shape, read: async () => change((await readBefore()).slice()) });
  };
  for (const [module, pair] of adapter.layers) {
    const { scaling } = scalings.get(module)!;
    const term = termOf(pair, scaling);
    const linear = linears.get(module)?.linear;
    const table = tables.get(module);
    if (linear === undefined && table?.isHead) {
      requireShape(module, table.shape, [pair.loraB.shape[0]!, pair.loraA.shape[1]!], faults);
      if (pair.magnitude ?? pair.bias)
        faults.push(`${module}: DoRA and lora_bias on the output projection are not supported`);
      changeTable(module, (values) => addTerms(values, [term]));
    } else if (linear === undefined)
      faults.push(`the model has no linear layer ${module}${hint(module, linears.keys())}`);
    else {
      const shape = [linear.outFeatures, linear.inFeatures];
      requireShape(module, shape, [pair.loraB.shape[0]!, pair.loraA.shape[1]!], faults);
      const bias = pair.bias && floats(pair.bias).map((value) => value * scaling);
      updates.set(module, bias === undefined ? term : { ...term, bias });
    }
  }
  for (const [module, pair] of adapter.embeddings) {
    const table = tables.get(module);
    if (table === undefined || table.isHead) {
      faults.push(`the model has no embedding table ${module}${hint(module, tables.keys())}`);
      continue;
    }
    requireShape(module, table.shape, [pair.loraA.shape[1]!, pair.loraB.shape[0]!], faults);
    const { scaling } = scalings.get(module)!;
    changeTable(module, async (values) => addTerms(values, [termOf(await transposedPair(pair), scaling)]));
  }
  for (const [module, rows] of adapter.tokens) {
    const table = tables.get(module);
    const indices = Object.entries(adapter.tokenIndices).find(([name]) => `.${module}`.endsWith(`.${name}`))![1];
    if (table === undefined) faults.push(`the model has no embedding table ${module}${hint(module, tables.keys())}`);
    else if (indices.some((index) => index >= table.shape[0]!)) {
      faults.push(`trainable_token_indices goes up to ${Math.max(...indices)}, ${module} has ${table.shape[0]} rows`);
    } else {
      requireShape(`${module}, trained tokens`, [indices.length, table.shape[1]!], rows.shape, faults);
      changeTable(module, async (values) => withRows(values, indices, rows));
    }
  }
  requireTiedAlike(adapter, replaced, model, faults);
  if (faults.length > 0) throw checkpointFault(`${where}: the adapter does not fit its base; check the base`, faults);
  return { replaced, updates };
}

interface Table {
  readonly shape: Shape;
  readonly isHead: boolean;
}

/** Embedding tables and output projection, which PEFT can adapt beside the linear layers; a tied head too. */
function tablesOf(model: CausalLM): Map<string, Table> {
  const tables = new Map<string, Table>();
  for (const { path, module } of moduleSlots(model)) {
    if (!(module instanceof Embedding || module instanceof LanguageModelHead)) continue;
    const isHead = module instanceof LanguageModelHead;
    tables.set(model.checkpointName(path), { shape: module.weight.shape, isHead });
  }
  return tables;
}

/** Tensors that the adapter holds in full: modules_to_save and biases, as the model names and shapes them. */
function savedParameters(
  { modulesToSave, biases }: ReadPeftAdapter,
  model: CausalLM,
  faults: string[],
): Map<string, LazyTensor> {
  const parameters = diskParameters(model);
  const head = model.checkpointName("lmHead.weight");
  const embeddings = [...parameters].find(([, parameter]) => parameter === model.embedTokens.weight)![0];
  if (model.headWeight === model.embedTokens.weight) parameters.set(head, parameters.get(embeddings)!);
  const saved = new Map<string, LazyTensor>();
  const stored = fromStorage<TensorToWrite>(new Map([...modulesToSave, ...biases]), model.storage);
  for (const [name, tensor] of stored.tensors) {
    const parameter = parameters.get(name);
    if (parameter === undefined) faults.push(`the model has no ${name}${hint(name, parameters.keys())}`);
    else requireShape(name, parameter.shape, tensor.shape, faults);
    const { dtype, shape } = tensor;
    saved.set(name, { dtype, shape, read: async () => (await readHostTensor(tensor)).data });
  }
  return saved;
}

/** If the model ties embeddings and head, both are one table, so changes that would untie them are refused. */
function requireTiedAlike(
  { tiesWeights, embeddings, tokens }: ReadPeftAdapter,
  replaced: Map<string, LazyTensor>,
  model: CausalLM,
  faults: string[],
): void {
  if (model.headWeight !== model.embedTokens.weight) return;
  const head = model.checkpointName("lmHead.weight");
  const table = [...diskParameters(model)].find(([, parameter]) => parameter === model.embedTokens.weight)![0];
  const [ofHead, ofTable] = [replaced.get(head), replaced.get(table)];
  replaced.delete(head);
  if (ofHead === undefined && ofTable === undefined) return;
  const module = table.replace(/\.weight$/, "");
  const isTied = tiesWeights || (ofHead === undefined && tokens.has(module) && !embeddings.has(module));
  if (isTied && ofHead === undefined) return;
  if (ofHead !== undefined && ofTable !== undefined) {
    const both = async (): Promise<Float32Array> => {
      const [a, b] = [(await ofTable.read()) as Float32Array, (await ofHead.read()) as Float32Array];
      if (a.every((value, i) => value === b[i])) return a;
      throw checkpointFault("the adapter cannot be used", [
        `${table} and ${head} differ, but the base has them as one`,
      ]);
    };
    replaced.set(table, { ...ofTable, read: both });
    return;
  }
  if (isTied) replaced.set(table, ofHead!);
  else
    faults.push(`it changes only one of ${table} and ${head}, which the base has as one; train both, or none of them`);
}

/** Modules that the config targets must have their tensors. */
function requireTargets(
  adapter: ReadPeftAdapter,
  linears: readonly string[],
  tables: readonly string[],
  faults: string[],
): void {
  const saved = new Set([...adapter.modulesToSave.keys()].map((name) => name.replace(/\.[^.]+$/, "")));
  const isAllLinear = typeof adapter.targetModules === "string" && adapter.targetModules.toLowerCase() === "all-linear";
  const modules = (isAllLinear ? linears : [...linears, ...tables]).filter((module) => !saved.has(module));
  const present = [...adapter.layers.keys(), ...adapter.embeddings.keys()];
  const has = new Set(present);
  const unknown = present.filter((module) => !linears.includes(module) && !tables.includes(module));
  for (const module of selectModules(modules, adapter)) {
    if (has.has(module)) continue;
    const nearest = suggest(module, unknown);
    const found = nearest === undefined ? "" : `; there are tensors of ${nearest}`;
    faults.push(`target_modules names ${module}, but the adapter has no tensors of it${found}`);
  }
}

function requireShape(name: string, is: Shape, needed: readonly number[], faults: string[]): void {
  if (sameShape(is, needed)) return;
  faults.push(`${name} is ${formatShape(is)} in the model and ${formatShape(needed)} in the adapter`);
}

function hint(name: string, names: Iterable<string>): string {
  const nearest = suggest(name, names);
  return nearest === undefined ? "" : ` (did you mean "${nearest}"?)`;
}

function floats({ data }: HostTensor): Float32Array {
  return data as Float32Array;
}

/** (loraB · loraA)ᵀ as a pair. */
function transposedPair({ loraA, loraB }: LoraPair): Promise<LoraPair> {
  return readPair({ loraA: transposed(loraB), loraB: transposed(loraA) });
}

function withRows(table: Float32Array, indices: readonly number[], rows: HostTensor): Float32Array {
  const width = rows.shape[1]!;
  indices.forEach((index, i) => {
    table.set(floats(rows).subarray(i * width, (i + 1) * width), index * width);
  });
  return table;
}
