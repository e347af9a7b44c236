import type { LowRankTerm } from "../adapters/low-rank-term.js";
import { type LazyTensor, readHostTensor } from "../files/lazy-tensor.js";
import type { SafetensorsDType } from "../files/safetensors-header.js";
import type { HostTensor } from "../tensor/dtype.js";
import type { PeftConfig, TokenIndices } from "./peft-config.js";

const PREFIX = "base_model.model.";

/** A tensor of an adapter in memory, with its type in the file if that differs. */
export type PeftTensor = HostTensor & { readonly fileType?: SafetensorsDType };

/** The change of one linear layer, in float32: ΔW = scaling · loraB · loraA. */
export interface LoraPair<T = PeftTensor> {
  readonly loraA: T; // (rank, inFeatures)
  readonly loraB: T; // (outFeatures, rank)
  /** Lengths to which the rows of W + ΔW are scaled, with DoRA. */
  readonly magnitude?: T; // (outFeatures)
  /** Added to loraB's output before the scaling. */
  readonly bias?: T; // (outFeatures)
}

/** The pair as a term of an update; a bias has no place in one. */
export function termOf({ loraA, loraB, magnitude }: LoraPair<HostTensor>, scaling: number): LowRankTerm {
  const values = ({ data }: HostTensor): Float32Array => data as Float32Array;
  const term = { rank: loraA.shape[0]!, scaling, loraA: values(loraA), loraB: values(loraB) };
  return magnitude === undefined ? term : { ...term, magnitude: values(magnitude) };
}

/** The pair with its elements in memory. */
export async function readPair(pair: LoraPair<HostTensor | LazyTensor>): Promise<LoraPair> {
  const { loraA, loraB, magnitude, bias } = pair;
  return {
    ...{ loraA: await readHostTensor(loraA), loraB: await readHostTensor(loraB) },
    ...(magnitude !== undefined && { magnitude: await readHostTensor(magnitude) }),
    ...(bias !== undefined && { bias: await readHostTensor(bias) }),
  };
}

/** The tensors of an adapter, sorted by kind. */
export interface PeftTensors<T = PeftTensor> {
  /** By module path in the base model, such as `model.layers.0.self_attn.q_proj`. */
  readonly layers: ReadonlyMap<string, LoraPair<T>>;
  /**
   * Pairs of embedding tables (tokens, hidden), by module path: the table changes by scaling · (loraB · loraA)ᵀ. loraA:
   * (rank, tokens), loraB: (hidden, rank).
   */
  readonly embeddings: ReadonlyMap<string, LoraPair<T>>;
  /** Rows that replace those of an embedding table, by module path: (tokens trained, hidden). */
  readonly tokens: ReadonlyMap<string, T>;
  /** Trained biases of the base, by path, such as `model.layers.0.self_attn.q_proj.bias`. */
  readonly biases: ReadonlyMap<string, T>;
  /** Fully trained parameters, by path in the base model, such as `lm_head.weight`. */
  readonly modulesToSave: ReadonlyMap<string, T>;
}

/** Names the tensors as PEFT does. */
export function peftTensors({
  layers,
  ...others
}: Pick<PeftTensors, "layers"> & Partial<PeftTensors>): Map<string, PeftTensor> {
  const tensors = new Map<string, PeftTensor>();
  const add = (name: string, tensor: PeftTensor | undefined): void => {
    if (tensor !== undefined) tensors.set(PREFIX + name, tensor);
  };
  for (const [module, { loraA, loraB, magnitude, bias }] of layers) {
    add(`${module}.lora_A.weight`, loraA);
    add(`${module}.lora_B.weight`, loraB);
    add(`${module}.lora_B.bias`, bias);
    add(`${module}.lora_magnitude_vector`, magnitude);
  }
  const embeddings = others.embeddings ?? new Map<string, LoraPair>();
  for (const [module, { loraA, loraB, magnitude }] of embeddings) {
    add(`${module}.lora_embedding_A`, loraA);
    add(`${module}.lora_embedding_B`, loraB);
    add(`${module}.lora_magnitude_vector`, magnitude);
  }
  for (const [module, rows] of others.tokens ?? []) add(`${module}.token_adapter.trainable_tokens_delta`, rows);
  for (const [name, tensor] of [...(others.biases ?? []), ...(others.modulesToSave ?? [])]) {
    const [module, parameter] = [moduleOf(name), name.slice(name.lastIndexOf(".") + 1)];
    add(layers.has(module) || embeddings.has(module) ? `${module}.base_layer.${parameter}` : name, tensor);
  }
  return tensors;
}

/** Path of the module that holds a parameter. */
export function moduleOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf("."));
}

/**
 * The pairs of plain LoRA or DoRA in a file with PEFT's tensor names. Tensors that belong to no pair are added to
 * `faults`.
 */
export function peftLayers<T>(tensors: ReadonlyMap<string, T>, faults: string[]): ReadonlyMap<string, LoraPair<T>> {
  return sortTensors(
    tensors,
    { modulesToSave: [], bias: "none", loraBias: false, useDora: null, tokenIndices: {} },
    faults,
  ).layers;
}

/** Settings that decide which tensors may occur. */
export type TensorRule = Pick<PeftConfig, "modulesToSave" | "bias" | "loraBias" | "tokenIndices"> & {
  /** Null if each layer may or may not have a magnitude. */
  readonly useDora: boolean | null;
};

/** Endings of a tensor's name, and the part of a pair that each means. */
const PARTS: readonly (readonly [ending: RegExp, part: keyof LoraPair, ofEmbedding: boolean])[] = [
  [/\.lora_A\.weight$/, "loraA", false],
  [/\.lora_B\.weight$/, "loraB", false],
  [/\.lora_B\.bias$/, "bias", false],
  [/\.lora_magnitude_vector(\.weight)?$/, "magnitude", false],
  [/\.lora_embedding_A$/, "loraA", true],
  [/\.lora_embedding_B$/, "loraB", true],
];
const TOKENS = /\.token_adapter\.trainable_tokens_delta$/;

/** Tables of tokens that PEFT writes unasked if they are adapted or were resized. */
const SAVED_UNASKED = ["embed_tokens", "lm_head", "wte", "embed_in", "embed_out"];

/** The former weights of a module that is trained in full; PEFT writes them beside tables that were resized. */
const BEFORE_TRAINING = /\.original_module\.[^.]+$/;

/** VeLoRA's means of compressing activations in training; it changes no output. */
const OF_TRAINING = /\.lora_velora_embed$/;

/** Sorts the tensors of an adapter's file by kind. Unknown tensors and incomplete pairs are added to `faults`. */
export function sortTensors<T>(tensors: ReadonlyMap<string, T>, rule: TensorRule, faults: string[]): PeftTensors<T> {
  const parts = {
    layers: new Map<string, Partial<LoraPair<T>>>(),
    embeddings: new Map<string, Partial<LoraPair<T>>>(),
  };
  const [tokens, biases, modulesToSave] = [new Map<string, T>(), new Map<string, T>(), new Map<string, T>()];
  for (const [key, tensor] of tensors) {
    const path = parameterPath(key);
    const [ending, part, ofEmbedding] = PARTS.find(([pattern]) => pattern.test(path)) ?? [];
    if (ending !== undefined) {
      const kind = ofEmbedding ? parts.embeddings : parts.layers;
      const module = path.replace(ending, "");
      kind.set(module, { ...kind.get(module), [part!]: tensor });
      continue;
    }
    if (OF_TRAINING.test(path) || BEFORE_TRAINING.test(path)) continue;
    const name = path.replace(/\.base_layer(?=\.[^.]+$)/, "");
    const isSaved =
      path.endsWith(".base_layer.weight") ||
      rule.modulesToSave.some((module) => isInEnd(name, module)) ||
      SAVED_UNASKED.some((module) => isInEnd(`.${name}`, `.${module}`));
    if (TOKENS.test(path)) tokens.set(path.replace(TOKENS, ""), tensor);
    else if (isSaved) modulesToSave.set(name, tensor);
    else if (rule.bias !== "none" && name.endsWith(".bias")) biases.set(name, tensor);
    else faults.push(`tensor "${key}" is neither half of a LoRA pair nor part of modules_to_save`);
  }
  // Linear layers and tables have the same name for their magnitudes.
  for (const [module, pair] of parts.embeddings) {
    const magnitude = parts.layers.get(module)?.magnitude;
    if (magnitude === undefined) continue;
    parts.embeddings.set(module, { ...pair, magnitude });
    parts.layers.delete(module);
  }
  const layers = completePairs(parts.layers, "lora", rule, faults);
  const embeddings = completePairs(parts.embeddings, "lora_embedding", { ...rule, loraBias: false }, faults);
  for (const module of tokens.keys()) {
    if (indicesOf(rule.tokenIndices, module) !== undefined) continue;
    faults.push(`${module} has trained tokens, but trainable_token_indices does not say which`);
  }
  return { layers, embeddings, tokens, biases, modulesToSave };
}

/** The rows of a table that are trained; undefined where there are none. */
export function indicesOf(indices: TokenIndices, table: string): readonly number[] | undefined {
  if (Array.isArray(indices)) return indices;
  return Object.entries(indices as Exclude<TokenIndices, readonly number[]>).find(([name]) =>
    table.endsWith(name),
  )?.[1];
}

function completePairs<T>(
  halves: ReadonlyMap<string, Partial<LoraPair<T>>>,
  name: string,
  { loraBias, useDora }: Pick<TensorRule, "loraBias" | "useDora">,
  faults: string[],
): Map<string, LoraPair<T>> {
  const pairs = new Map<string, LoraPair<T>>();
  for (const [module, pair] of halves) {
    const { loraA, loraB, magnitude, bias } = pair;
    const has = (part: T | undefined, wanted: boolean, what: string, field: string): void => {
      if (wanted && part === undefined) faults.push(`${module} has no ${what}, though ${field} is true`);
      if (!wanted && part !== undefined) faults.push(`${module} has ${what}, though ${field} is false`);
    };
    if (useDora !== null) has(magnitude, useDora, "lora_magnitude_vector", "use_dora");
    has(bias, loraBias, "lora_B.bias", "lora_bias");
    if (loraA && loraB) pairs.set(module, { ...pair, loraA, loraB });
    else if (loraA) faults.push(`${module} has ${name}_A but no ${name}_B`);
    else faults.push(`${module} has ${loraB ? `${name}_B` : "a part of a pair"} but no ${name}_A`);
  }
  return pairs;
}

/**
 * Path in the base model; empty without the prefix. Some writers leave the wrapper and the adapter's name in, unlike
 * PEFT.
 */
function parameterPath(key: string): string {
  if (!key.startsWith(PREFIX)) return "";
  return key
    .slice(PREFIX.length)
    .replace(/\.(lora_(?:[AB]|embedding_[AB]|magnitude_vector))\.default(?=\.|$)/, ".$1")
    .replace(/(\.trainable_tokens_delta)\.default$/, "$1")
    .replace(/\.modules_to_save\.(?:default\.)?(?=[^.]+$)/, ".");
}

/** True if the parameter lies in a module whose path ends in this text, by PEFT's rule for modules_to_save. */
function isInEnd(parameter: string, end: string): boolean {
  return parameter.includes(`${end}.`);
}
