import { CheckpointError, ModelError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { largest } from "../base/numbers.js";
import { checkpointFault } from "../files/faults.js";
import type { LazyTensor } from "../files/lazy-tensor.js";
import type { SafetensorsDType } from "../files/safetensors-header.js";
import { transposed } from "../files/transposed-tensor.js";
import { describeModel } from "../models/architectures.js";
import { type Rope, rotaryFrequencies } from "../nn/rope.js";
import { architectureOf, type ConfigKeys, type GgufArchitecture, type Heads } from "./architectures.js";
import type { GgufTensor } from "./gguf-tensor.js";
import { GgufMetadata } from "./metadata.js";
import { openGguf } from "./open-gguf.js";
import { ReorderedTensor, shifted, swappedRows } from "./rearranged-tensor.js";

/** A model in a GGUF file, as a Hugging Face folder would hold it. */
export interface GgufModel {
  /** Content of its config.json. */
  readonly config: Record<string, unknown>;
  /** By their names in such a folder, and in its shapes; widened to float32 when they are read. */
  readonly tensors: ReadonlyMap<string, LazyTensor & { readonly fileType?: SafetensorsDType }>;
}

/**
 * Opens the model in a GGUF file. Nothing but its header is read, and the factors of its rotary positions.
 * @throws ModelError for what is not supported; CheckpointError as `openGguf`, and for missing keys and tensors that
 * have no place in the model.
 */
export async function openGgufModel(path: string): Promise<GgufModel> {
  const { metadata: values, tensors: stored } = await openGguf(path);
  const metadata = new GgufMetadata(path, values);
  const architecture = architectureOf(metadata);
  const config = await configOf(architecture, metadata, stored);
  const { storage, config: sizes } = describeModel(config);
  requireComputed(architecture.name, metadata, sizes as unknown as Computed);
  const tensors = new Map<string, LazyTensor>();
  const faults: string[] = [];
  for (const [name, tensor] of stored) {
    if (ROPE_FACTORS.test(name)) continue;
    const [, layer, bare, kind] = /^(?:blk\.(\d+)\.)?(.*)\.(weight|bias)$/.exec(name) ?? [];
    const pattern = layer === undefined ? bare : `blk.*.${bare}`;
    const given = pattern === undefined ? undefined : architecture.tensors[pattern];
    if (given === undefined || !Object.hasOwn(architecture.tensors, pattern!)) {
      faults.push(`tensor "${name}" has no place in a model of ${architecture.name}`);
      continue;
    }
    const foreign = `${given.replace("*", layer ?? "")}.${kind}`;
    const axes = architecture.swapped?.(pattern!, sizes as unknown as Heads);
    const isNorm = architecture.shiftsNorms === true && name.endsWith("norm.weight");
    let read: LazyTensor & { readonly fileType?: SafetensorsDType } = tensor;
    if (axes !== undefined) {
      const unit = axes.first * axes.second * axes.inner;
      if (!(Number.isSafeInteger(unit) && (tensor.shape[0] ?? 1) % unit === 0)) {
        faults.push(`tensor "${name}" has ${tensor.shape[0] ?? 1} rows, which must be a multiple of ${unit}`);
        continue;
      }
      read = new ReorderedTensor(tensor, swappedRows(axes));
    }
    if (isNorm) read = shifted(read, -1);
    if (storage.isTransposed(foreign) && read.shape.length === 2) read = transposed(read);
    tensors.set(foreign, read);
  }
  if (faults.length > 0) throw checkpointFault(path, faults);
  return { config, tensors };
}

/** Factors of rotary positions, which belong to the config. */
const ROPE_FACTORS = /^rope_(freqs|factors_long|factors_short)\.weight$/;

async function configOf(
  architecture: GgufArchitecture,
  metadata: GgufMetadata,
  tensors: ReadonlyMap<string, GgufTensor>,
): Promise<Record<string, unknown>> {
  const { name, modelType, className } = architecture;
  const keys: ConfigKeys = {
    number: (key) => metadata.number(`${name}.${key}`),
    required: (key) => metadata.requiredNumber(`${name}.${key}`),
    boolean: (key) => metadata.boolean(`${name}.${key}`),
    pattern: (key, numLayers) => layerPattern(metadata, `${name}.${key}`, numLayers),
    has: (tensor) => tensors.has(tensor),
  };
  const table = tensors.get("token_embd.weight");
  if (table === undefined) throw new CheckpointError(`${metadata.where}: "token_embd.weight" is missing`);
  const own = architecture.config(keys);
  const scaling = await ropeScaling(metadata, name, own, tensors);
  const ids = endIds(metadata);
  return {
    architectures: [className],
    model_type: modelType,
    ...own,
    vocab_size: table.shape[0],
    tie_word_embeddings: !tensors.has("output.weight"),
    ...(scaling !== undefined && { rope_scaling: scaling }),
    bos_token_id: metadata.number("tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: ids.length > 1 ? ids : (ids[0] ?? null),
    pad_token_id: metadata.number("tokenizer.ggml.padding_token_id") ?? null,
    torch_dtype: "float32",
  };
}

/** @throws CheckpointError for a list of another length, and for anything else. */
function layerPattern(metadata: GgufMetadata, key: string, numLayers: number): number | readonly boolean[] | undefined {
  if (!metadata.isList(key)) return metadata.number(key);
  const layers = metadata.booleans(key)!;
  if (layers.length === numLayers) return layers;
  throw new CheckpointError(
    `${metadata.where}: ${key} has ${layers.length} values for ${numLayers} layers; convert it again`,
  );
}

/** The tokens that end a generated text: that of the end of the text, and those of the end of a turn. */
function endIds(metadata: GgufMetadata): number[] {
  const ids = ["eos", "eot", "eom"].map((each) => metadata.number(`tokenizer.ggml.${each}_token_id`));
  return [...new Set(ids.filter((id) => id !== undefined))];
}

/** The sizes of a model that keys may repeat. */
interface Computed extends Heads {
  readonly maxSequenceLength: number;
  readonly queryPreAttentionScalar?: number;
}

const anything = (): boolean => true;
const one = (value: unknown): boolean => value === 1;
const zero = (value: unknown): boolean => value === 0;
const neutral = (value: unknown): boolean => value === 0 || value === 1;
const ofHead = (value: unknown, { headDim }: Computed): boolean => value === headDim;

/** Values of keys that no architecture need read: with these llama.cpp computes what is computed without the key. */
const WITHOUT_EFFECT: Readonly<Record<string, (value: unknown, model: Computed) => boolean>> = {
  vocab_size: anything,
  tensor_data_layout: anything,
  pooling_type: anything,
  // Each architecture has norms of one kind.
  "attention.layer_norm_epsilon": anything,
  "attention.layer_norm_rms_epsilon": anything,
  "attention.head_count_kv": (value, { numHeads }) => value === numHeads,
  "attention.key_length": ofHead,
  "attention.value_length": ofHead,
  "attention.key_length_swa": ofHead,
  "attention.value_length_swa": ofHead,
  "attention.causal": (value) => value === true,
  "attention.clamp_kqv": zero,
  "attention.max_alibi_bias": zero,
  "attention.scale": (value, { headDim, queryPreAttentionScalar = headDim }) =>
    value === 0 || Math.abs((value as number) * Math.sqrt(queryPreAttentionScalar) - 1) < 1e-5,
  "attention.sliding_window": (value, { maxSequenceLength }) => value === 0 || (value as number) >= maxSequenceLength,
  "rope.dimension_count": ofHead,
  "rope.dimension_count_swa": ofHead,
  "rope.global.freq_base": (value) => value === 1_000_000,
  "rope.local.freq_base": (value) => value === 10_000,
  "rope.scaling.finetuned": anything,
  // Only yarn and longrope depend on it, and they read it.
  "rope.scaling.original_context_length": anything,
  // Of the other types the factors alone have an effect.
  "rope.scaling.type": (value) => value !== "yarn",
  "rope.scaling.factor": neutral,
  "rope.scaling.attn_factor": one,
  "rope.scaling.yarn_attn_factor": one,
  "rope.scaling.yarn_beta_fast": (value) => value === 32,
  "rope.scaling.yarn_beta_slow": one,
  "rope.scaling.yarn_ext_factor": (value) => value === -1,
  "rope.scaling.yarn_log_multiplier": zero,
  "rope.scale_linear": neutral,
  attn_logit_softcapping: zero,
  final_logit_softcapping: zero,
  logit_scale: neutral,
  residual_scale: neutral,
  embedding_scale: neutral,
  use_parallel_residual: (value) => value === false,
  expert_used_count: zero,
};

/** Keys of what reads pictures, whose tensors lie in a file of their own. */
const OF_PICTURES = /^(mm|vision)\./;

/** @throws ModelError for keys of the architecture that were not read and may change what the model computes. */
function requireComputed(name: string, metadata: GgufMetadata, model: Computed): void {
  const refused = [...metadata.unreadBelow(`${name}.`)].filter(([key, value]) => {
    const own = key.slice(name.length + 1);
    return !OF_PICTURES.test(own) && !(Object.hasOwn(WITHOUT_EFFECT, own) && WITHOUT_EFFECT[own]!(value, model));
  });
  if (refused.length === 0) return;
  // Long lists are not read.
  const shown = (value: unknown): string => (value === undefined ? "a list" : shownValue(value));
  throw new ModelError(
    `${metadata.where}: ${refused.map(([key, value]) => `${key} is ${shown(value)}`).join(", ")}, ` +
      `which is not computed here for models of ${name}; use another file of the model`,
  );
}

/** `rope_scaling` of the config; undefined for none. */
async function ropeScaling(
  metadata: GgufMetadata,
  name: string,
  config: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, GgufTensor>,
): Promise<Record<string, unknown> | undefined> {
  const [long, short] = [tensors.get("rope_factors_long.weight"), tensors.get("rope_factors_short.weight")];
  if (long !== undefined && short !== undefined) {
    // Without the key llama.cpp computes with 1, and not with the factor that configs imply.
    const attention = metadata.number(`${name}.rope.scaling.attn_factor`) ?? 1;
    const originalLength = metadata.number(`${name}.rope.scaling.original_context_length`);
    return {
      rope_type: "longrope",
      short_factor: [...(await short.read())],
      long_factor: [...(await long.read())],
      attention_factor: attention,
      ...(originalLength !== undefined && { original_max_position_embeddings: originalLength }),
    };
  }
  const divisors = await tensors.get("rope_freqs.weight")?.read();
  if (divisors !== undefined) return llama3Scaling(metadata, name, divisors, config);
  const type = metadata.text(`${name}.rope.scaling.type`);
  const given = metadata.number(`${name}.rope.scaling.factor`) ?? metadata.number(`${name}.rope.scale_linear`);
  // llama.cpp takes a factor without a type for linear, and 0 for none.
  if (type === "none" || (type === undefined && (given ?? 0) === 0)) return undefined;
  const factor = given ?? metadata.requiredNumber(`${name}.rope.scaling.factor`);
  if (type === "linear" || type === undefined) return factor === 1 ? undefined : { rope_type: "linear", factor };
  if (type === "yarn") {
    return {
      rope_type: type,
      factor,
      original_max_position_embeddings: metadata.requiredNumber(`${name}.rope.scaling.original_context_length`),
    };
  }
  throw new ModelError(`${metadata.where}: ${name}.rope.scaling.type is ${type}; none, linear and yarn can be read`);
}

/** The constants of every Llama 3 model of Meta's; the factor differs. */
const LLAMA3 = { seldom: 1, often: 4, originalLength: 8192 } as const;

/** The scaling of Llama 3 whose divisors of frequencies the file holds. @throws ModelError for those of another. */
function llama3Scaling(
  metadata: GgufMetadata,
  name: string,
  divisors: Float32Array,
  { rope_theta }: Readonly<Record<string, unknown>>,
): Record<string, unknown> | undefined {
  if (divisors.every((divisor) => divisor === 1)) return undefined;
  const factor = largest(divisors, 1);
  // Written here; other files hold the divisors alone.
  const seldom = metadata.number(`${name}.rope.scaling.low_freq_factor`) ?? LLAMA3.seldom;
  const often = metadata.number(`${name}.rope.scaling.high_freq_factor`) ?? LLAMA3.often;
  const originalLength = metadata.number(`${name}.rope.scaling.original_context_length`) ?? LLAMA3.originalLength;
  const plain: Rope = { headDim: 2 * divisors.length, theta: rope_theta as number };
  const frequencies = rotaryFrequencies(plain, originalLength);
  const stretched = rotaryFrequencies(
    { ...plain, scaling: { kind: "llama3", factor, originalLength, seldom, often } },
    originalLength,
  );
  if (divisors.every((divisor, pair) => Math.abs((divisor * stretched[pair]!) / frequencies[pair]! - 1) < 1e-4)) {
    return {
      ...{ rope_type: "llama3", factor, low_freq_factor: seldom, high_freq_factor: often },
      original_max_position_embeddings: originalLength,
    };
  }
  throw new ModelError(
    `${metadata.where}: rope_freqs.weight holds other divisors than those of Llama 3's rotary positions`,
  );
}
