import { CheckpointError } from "../tensor/errors.js";
import { shownValue } from "../tensor/json.js";

/** The sizes and constants of a LLaMA model (Touvron et al. 2023, arXiv:2302.13971), in our names. */
export interface LlamaConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Fewer than numHeads is grouped-query attention. */
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  /** Whether the output projection is the embedding table. */
  readonly tieWordEmbeddings: boolean;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
  /** Longest sequence the model is meant for; recorded in the checkpoint. */
  readonly maxSequenceLength: number;
  /** End-of-text token, or null when the tokenizer has none. */
  readonly endOfTextId: number | null;
}

/** Fills in what follows from the sizes or is LLaMA's usual value. @throws CheckpointError listing all that does not fit. */
export function llamaConfig(
  sizes: Pick<LlamaConfig, "vocabSize" | "hiddenSize" | "intermediateSize" | "numLayers" | "numHeads"> &
    Partial<LlamaConfig>,
): LlamaConfig {
  const config: LlamaConfig = {
    numKeyValueHeads: sizes.numHeads,
    headDim: sizes.hiddenSize / sizes.numHeads,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 10_000,
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

/** config.json of a Hugging Face model folder → ours. What it asks for that we do not compute is refused by name. */
export function readLlamaConfig(json: Readonly<Record<string, unknown>>): LlamaConfig {
  const faults: string[] = [];
  const refuse = (key: string, supported: unknown) => {
    const value = json[key];
    if (value !== undefined && value !== null && value !== supported) {
      faults.push(`${key} is ${shownValue(value)}, supported is ${JSON.stringify(supported)}`);
    }
  };
  refuse("model_type", "llama");
  refuse("hidden_act", "silu");
  refuse("attention_bias", false);
  refuse("mlp_bias", false);
  const rope = json.rope_scaling ?? json.rope_parameters ?? {};
  if (typeof rope !== "object" || Array.isArray(rope))
    faults.push(`rope_scaling must be an object, got ${shownValue(rope)}`);
  const scaling = rope as { rope_type?: unknown; type?: unknown; rope_theta?: unknown };
  const ropeType = scaling.rope_type ?? scaling.type ?? "default";
  if (ropeType !== "default") faults.push(`rope type is ${shownValue(ropeType)}, supported is "default"`);
  const number = (key: string, fallback?: number, value = json[key]): number => {
    if (fallback !== undefined && (value === undefined || value === null)) return fallback;
    if (typeof value === "number") return value;
    faults.push(`${key} must be a number, got ${shownValue(value)}`);
    return Number.NaN;
  };
  const sizes = {
    vocabSize: number("vocab_size"),
    hiddenSize: number("hidden_size"),
    intermediateSize: number("intermediate_size"),
    numLayers: number("num_hidden_layers"),
    numHeads: number("num_attention_heads"),
  };
  const config = {
    ...sizes,
    numKeyValueHeads: number("num_key_value_heads", sizes.numHeads),
    headDim: number("head_dim", sizes.hiddenSize / sizes.numHeads),
    rmsNormEpsilon: number("rms_norm_eps", 1e-6),
    ropeTheta: number("rope_theta", 10_000, scaling.rope_theta ?? json.rope_theta),
    tieWordEmbeddings: json.tie_word_embeddings === true,
    initializerRange: number("initializer_range", 0.02),
    maxSequenceLength: number("max_position_embeddings", 2048),
    endOfTextId: typeof json.eos_token_id === "number" ? json.eos_token_id : null,
  };
  if (faults.length > 0) throw new CheckpointError(`config.json: ${faults.join("; ")}`);
  return llamaConfig(config);
}

/** Ours → config.json as transformers writes it. */
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
    hidden_act: "silu",
    max_position_embeddings: config.maxSequenceLength,
    initializer_range: config.initializerRange,
    rms_norm_eps: config.rmsNormEpsilon,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tieWordEmbeddings,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: config.endOfTextId,
    eos_token_id: config.endOfTextId,
    torch_dtype: "float32",
  };
}
