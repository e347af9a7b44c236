import { CheckpointError } from "../tensor/errors.js";

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
    if (!Number.isInteger(config[name]) || config[name] < 1)
      faults.push(`${name} must be a positive integer, got ${config[name]}`);
  }
  if (config.headDim % 2 !== 0) faults.push(`headDim must be even for rotary positions, got ${config.headDim}`);
  if (config.numHeads % config.numKeyValueHeads !== 0) {
    faults.push(`numHeads (${config.numHeads}) must be a multiple of numKeyValueHeads (${config.numKeyValueHeads})`);
  }
  if (faults.length > 0) throw new CheckpointError(`LLaMA config: ${faults.join("; ")}`);
  return config;
}

/** config.json of a Hugging Face model folder → ours. What it asks for that we do not compute is refused by name. */
export function readLlamaConfig(json: Readonly<Record<string, unknown>>): LlamaConfig {
  const faults: string[] = [];
  const refuse = (key: string, supported: unknown) => {
    const value = json[key];
    if (value !== undefined && value !== null && value !== supported) {
      faults.push(`${key} is ${JSON.stringify(value)}, supported is ${JSON.stringify(supported)}`);
    }
  };
  refuse("model_type", "llama");
  refuse("hidden_act", "silu");
  refuse("attention_bias", false);
  refuse("mlp_bias", false);
  const scaling = (json.rope_scaling ?? json.rope_parameters) as {
    rope_type?: string;
    type?: string;
    rope_theta?: number;
  } | null;
  const ropeType = scaling?.rope_type ?? scaling?.type ?? "default";
  if (ropeType !== "default") faults.push(`rope type is ${JSON.stringify(ropeType)}, supported is "default"`);
  const number = (key: string): number => {
    const value = json[key];
    if (typeof value !== "number") faults.push(`${key} must be a number, got ${JSON.stringify(value)}`);
    return value as number;
  };
  const sizes = {
    vocabSize: number("vocab_size"),
    hiddenSize: number("hidden_size"),
    intermediateSize: number("intermediate_size"),
    numLayers: number("num_hidden_layers"),
    numHeads: number("num_attention_heads"),
  };
  if (faults.length > 0) throw new CheckpointError(`config.json: ${faults.join("; ")}`);
  const optional = (key: string, fallback: number) =>
    typeof json[key] === "number" ? (json[key] as number) : fallback;
  return llamaConfig({
    ...sizes,
    numKeyValueHeads: optional("num_key_value_heads", sizes.numHeads),
    headDim: optional("head_dim", sizes.hiddenSize / sizes.numHeads),
    rmsNormEpsilon: optional("rms_norm_eps", 1e-6),
    ropeTheta: scaling?.rope_theta ?? optional("rope_theta", 10_000),
    tieWordEmbeddings: json.tie_word_embeddings === true,
    initializerRange: optional("initializer_range", 0.02),
    maxSequenceLength: optional("max_position_embeddings", 2048),
    endOfTextId: typeof json.eos_token_id === "number" ? json.eos_token_id : null,
  });
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
