import { linearLayers } from "../adapters/inject.js";
import { addTerms } from "../adapters/low-rank-term.js";
import { selectModules } from "../adapters/target-modules.js";
import { append } from "../base/lists.js";
import { largest } from "../base/numbers.js";
import { suggest } from "../base/suggest.js";
import { checkpointFault } from "../files/faults.js";
import { type LazyTensor, readHostTensor, type TensorToWrite } from "../files/lazy-tensor.js";
import { fromStorage } from "../formats/model-tensors.js";
import { faultsOf, isParameterTarget, loraScalings, type ReadPeftAdapter } from "../formats/peft.js";
import { indicesOf, type LoraPair, moduleOf, termOf } from "../formats/peft-tensors.js";
import { type CausalLM, LanguageModelHead } from "../models/causal-lm.js";
import { Embedding } from "../nn/embedding.js";
import { moduleSlots } from "../nn/module.js";
import type { HostTensor } from "../tensor/dtype.js";
import { formatShape, type Shape, sameShape } from "../tensor/shape.js";
import { transposedElements } from "../tensor/transposed.js";
import { diskParameters, type ModelSource, tiedNames } from "./model-source.js";
import type { LayerUpdate } from "./updated-linear.js";

/** The changes that a PEFT adapter makes to its base. */
export interface PeftEffect {
  /** Parameters in place of those of the base, as the model names and shapes them; read when they are asked for. */
  readonly replaced: ReadonlyMap<string, LazyTensor>;
  /** Updates beside the weights of linear layers. */
  readonly updates: ReadonlyMap<string, LayerUpdate>;
  /** True if the base ties its table and its output projection, and the adapter makes them differ, as in PEFT. */
  readonly unties: boolean;
}

/**
 * Computes the changes of the adapter. Adapters and trained rows of embedding tables, and adapters of the output
 * projection, are added to a copy of the table; all else stays beside the weights.
 * @param model built from the source, which is untied where `untiesBase` says so.
 * @throws CheckpointError that names every tensor without a place in the model and every module that lacks its tensors.
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
  const { head: tiedHead } = tiedNames(model);
  const scalings = loraScalings([...adapter.layers.keys(), ...adapter.embeddings.keys()], adapter);
  append(
    faults,
    faultsOf(() => targetFaults(adapter, [...linears.keys()], [...tables.keys()])),
  );
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
    // Of tied weights, the pair of the table stands for both.
    if (`${module}.weight` === tiedHead) continue;
    const term = termOf(pair, scaling);
    const linear = linears.get(module)?.linear;
    const table = tables.get(module);
    if (linear === undefined && (table?.isHead || (table && isParameterTarget(adapter, module)))) {
      requireShape(module, table.shape, [pair.loraB.shape[0]!, pair.loraA.shape[1]!], faults);
      if (pair.bias) faults.push(`${module}: lora_bias on the output projection is not supported`);
      changeTable(module, (values) => addTerms(values, [term]));
    } else if (linear === undefined)
      faults.push(`the model has no linear layer ${module}${hint(module, linears.keys())}`);
    else {
      // A parameter is adapted as the files of its architecture hold it.
      const asStored = isParameterTarget(adapter, module) && model.storage.isTransposed(`${module}.weight`);
      const { loraA, loraB } = asStored ? turnedPair(pair) : pair;
      requireShape(module, [linear.outFeatures, linear.inFeatures], [loraB.shape[0]!, loraA.shape[1]!], faults);
      const update = asStored ? termOf({ loraA, loraB }, scaling) : term;
      const bias = pair.bias && floats(pair.bias).map((value) => value * scaling);
      updates.set(module, bias === undefined ? update : { ...update, bias });
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
    if (pair.magnitude === undefined) {
      changeTable(module, (values) => addTerms(values, [termOf(turnedPair(pair), scaling)]));
    } else {
      // The lengths are those of the columns.
      changeTable(module, async (values) => {
        const [rows, columns] = table.shape as [number, number];
        const turned = await addTerms(transposedElements(values, rows, columns), [termOf(pair, scaling)]);
        return transposedElements(turned, columns, rows);
      });
    }
  }
  for (const [module, rows] of adapter.tokens) {
    const table = tables.get(module);
    const indices = indicesOf(adapter.tokenIndices, module)!;
    if (table === undefined) faults.push(`the model has no embedding table ${module}${hint(module, tables.keys())}`);
    else if (indices.some((index) => index >= table.shape[0]!)) {
      faults.push(`trainable_token_indices goes up to ${largest(indices)}, ${module} has ${table.shape[0]} rows`);
    } else {
      requireShape(`${module}, trained tokens`, [indices.length, table.shape[1]!], rows.shape, faults);
      changeTable(module, async (values) => withRows(values, indices, rows));
    }
  }
  if (tiedHead !== undefined) replaced.delete(tiedHead);
  requireTokens(adapter, tiedHead !== undefined, faults);
  if (faults.length > 0) throw checkpointFault(`${where}: the adapter does not fit its base; check the base`, faults);
  return { replaced, updates, unties: false };
}

/**
 * True if the adapter makes the table and the output projection of a model that ties them differ. As in PEFT: it ties
 * trained tokens by itself, and files hold whatever else is tied for both.
 */
export function untiesBase(adapter: ReadPeftAdapter, model: CausalLM): boolean {
  const { embeddings, head } = tiedNames(model);
  if (head === undefined) return false;
  const [table, output] = [moduleOf(embeddings), moduleOf(head)];
  const { layers, tokens } = adapter;
  const modulesToSave = new Map(
    [...adapter.modulesToSave].map(([name, tensor]) => [model.storage.nameOf(name) ?? name, tensor] as const),
  );
  const [pair, outputPair] = [adapter.embeddings.get(table), layers.get(output)];
  const turned = outputPair && turnedPair(outputPair);
  const scalings = new Set([...loraScalings([table, output], adapter).values()].map(({ scaling }) => scaling));
  const isAlike =
    isSame(modulesToSave.get(embeddings), modulesToSave.get(head)) &&
    isSame(pair?.loraA, turned?.loraA) &&
    isSame(pair?.loraB, turned?.loraB) &&
    (pair === undefined || (scalings.size === 1 && pair.magnitude === undefined)) &&
    ![layers.get(table), outputPair?.magnitude, tokens.get(output)].some((change) => change !== undefined);
  return !isAlike;
}

function isSame(a: HostTensor | undefined, b: HostTensor | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return sameShape(a.shape, b.shape) && a.data.every((value, i) => value === b.data[i]);
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
  const { embeddings, head } = tiedNames(model);
  if (head !== undefined) parameters.set(head, parameters.get(embeddings)!);
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

/** Tables whose rows are said to be trained must have them. */
function requireTokens({ tokens, tokenIndices }: ReadPeftAdapter, isTied: boolean, faults: string[]): void {
  const present = [...tokens.keys()];
  if (Array.isArray(tokenIndices)) {
    if (present.length === 0) faults.push("trainable_token_indices lists tokens, but there are no trained tokens");
    return;
  }
  for (const [name, indices] of Object.entries(tokenIndices as Readonly<Record<string, readonly number[]>>)) {
    if (present.some((module) => module.endsWith(name))) continue;
    // Tied tables that train the same rows have them once.
    if (isTied && present.some((module) => String(indicesOf(tokenIndices, module)) === String(indices))) continue;
    faults.push(`trainable_token_indices names ${name}, but there are no trained tokens of it`);
  }
}

/** Modules that the config targets must have their tensors. */
function targetFaults(adapter: ReadPeftAdapter, linears: readonly string[], tables: readonly string[]): string[] {
  const faults: string[] = [];
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
  return faults;
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
function turnedPair({ loraA, loraB }: LoraPair<HostTensor>): LoraPair<HostTensor> {
  return { loraA: turned(loraB), loraB: turned(loraA) };
}

function turned(tensor: HostTensor): HostTensor {
  const [rows, columns] = tensor.shape as [number, number];
  return { dtype: "float32", shape: [columns, rows], data: transposedElements(floats(tensor), rows, columns) };
}

function withRows(table: Float32Array, indices: readonly number[], rows: HostTensor): Float32Array {
  const width = rows.shape[1]!;
  indices.forEach((index, i) => {
    table.set(floats(rows).subarray(i * width, (i + 1) * width), index * width);
  });
  return table;
}
