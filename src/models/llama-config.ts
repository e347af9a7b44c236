import { CheckpointError } from "../base/errors.js";
import { silu } from "../ops/elementwise.js";
import { activationName } from "./activation.js";
import { ConfigReader } from "./config-reader.js";
import { type DecoderConfig, readDecoder } from "./decoder-config.js";
import { writeScaling } from "./rope-config.js";

/** The sizes and constants of a LLaMA model, in our names. */
export interface LlamaConfig extends Omit<DecoderConfig, "rotaryDim" | "outputBias" | "headNorm" | "window"> {
  /** End-of-text token, or null if the tokenizer has none. */
  readonly endOfTextId: number | null;
}

/**
 * Fills in values that follow from the sizes, or LLaMA's usual ones.
 * @throws CheckpointError listing all values that do not fit.
 */
export function llamaConfig(
  sizes: Pick<LlamaConfig, "vocabSize" | "hiddenSize" | "intermediateSize" | "numLayers" | "numHeads"> &
    Partial<LlamaConfig>,
): LlamaConfig {
  const config: LlamaConfig = {
    numKeyValueHeads: sizes.numHeads,
    headDim: sizes.hiddenSize / sizes.numHeads,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 10_000,
    activation: silu,
    attentionBias: false,
    mlpBias: false,
    tieWordEmbeddings: false,
    initializerRange: 0.02,
    maxSequenceLength: 1024,
    endOfTextId: null,
    ...sizes,
  };
  const faults: string[] = [];
  const names = [
    "vocabSize",
    "hiddenSize",
    "intermediateSize",
    "numLayers",
    "numHeads",
    "numKeyValueHeads",
    "headDim",
  ] as const;
  for (const name of names) {
    if (!Number.isSafeInteger(config[name]) || config[name] < 1)
      faults.push(`${name} must be a positive integer, got ${config[name]}`);
  }
  const { numHeads, numKeyValueHeads, headDim, vocabSize, hiddenSize, intermediateSize } = config;
  for (const rows of [vocabSize, intermediateSize, numHeads * headDim]) {
    if (!Number.isSafeInteger(rows * hiddenSize))
      faults.push(`a weight of ${rows} × ${hiddenSize} is more than can be addressed`);
  }
  for (const name of ["rmsNormEpsilon", "ropeTheta"] as const) {
    if (!(config[name] > 0 && Number.isFinite(config[name])))
      faults.push(`${name} must be above 0, got ${config[name]}`);
  }
  if (!(config.initializerRange >= 0 && Number.isFinite(config.initializerRange)))
    faults.push(`initializerRange must be 0 or more, got ${config.initializerRange}`);
  if (!Number.isSafeInteger(config.maxSequenceLength) || config.maxSequenceLength < 1)
    faults.push(`maxSequenceLength must be a positive integer, got ${config.maxSequenceLength}`);
  const { endOfTextId } = config;
  if (endOfTextId !== null && !(Number.isSafeInteger(endOfTextId) && endOfTextId >= 0))
    faults.push(`endOfTextId must be an integer of 0 or more, got ${endOfTextId}`);
  if (headDim % 2 !== 0) faults.push(`headDim must be even for rotary positions, got ${headDim}`);
  if (numHeads % numKeyValueHeads !== 0)
    faults.push(`numHeads (${numHeads}) must be a multiple of numKeyValueHeads (${numKeyValueHeads})`);
  if (faults.length > 0) throw new CheckpointError(`LLaMA config: ${faults.join("; ")}`);
  return config;
}

/**
 * Reads the config.json of a Hugging Face model folder.
 * @throws ModelError naming all that highrank does not compute; CheckpointError for invalid values.
 */
export function readLlamaConfig(json: Readonly<Record<string, unknown>>): LlamaConfig {
  const reader = new ConfigReader(json);
  reader.only("model_type", "llama");
  for (const key of ["sliding_window", "layer_types"]) reader.only(key, null);
  const config: LlamaConfig = {
    ...readDecoder(reader, { maxSequenceLength: 2048 }),
    attentionBias: reader.boolean("attention_bias", false),
    mlpBias: reader.boolean("mlp_bias", false),
    endOfTextId: reader.token("eos_token_id"),
  };
  reader.finish();
  return config;
}

/** Writes the config.json of transformers. */
export function writeLlamaConfig(config: LlamaConfig): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKeyValueHeads,
    head_dim: config.headDim,
    hidden_act: activationName(config.activation ?? silu),
    // A dynamic scaling reaches beyond the positions that the config names.
    max_position_embeddings:
      config.ropeScaling?.kind === "dynamic" ? config.ropeScaling.originalLength : config.maxSequenceLength,
    initializer_range: config.initializerRange,
    rms_norm_eps: config.rmsNormEpsilon,
    rope_theta: config.ropeTheta,
    rope_scaling: writeScaling(config.ropeScaling),
    tie_word_embeddings: config.tieWordEmbeddings,
    attention_bias: config.attentionBias ?? false,
    mlp_bias: config.mlpBias ?? false,
    bos_token_id: config.endOfTextId,
    eos_token_id: config.endOfTextId,
    torch_dtype: "float32",
  };
}
