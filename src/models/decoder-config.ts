import type { Rope, RopeScaling } from "../nn/rope.js";
import { ACTIVATIONS, type Activation } from "./activation.js";
import type { CausalLMConfig } from "./causal-lm.js";
import type { ConfigReader } from "./config-reader.js";
import { refuseForeignKeys } from "./foreign-keys.js";
import { type RopeKeys, readRope, usableLength } from "./rope-config.js";

/** LLaMA (Touvron et al. 2023, arXiv:2302.13971) with the variations of models built after it, in our names. */
export interface DecoderConfig extends CausalLMConfig {
  readonly intermediateSize: number;
  readonly numHeads: number;
  /** Fewer than numHeads is grouped-query attention. */
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  /** Features of each head that turn with the position. Default: all. */
  readonly rotaryDim?: number | undefined;
  readonly ropeTheta: number;
  /** Stretching of the model to longer texts. Default: none. */
  readonly ropeScaling?: RopeScaling | undefined;
  /** Default SiLU. */
  readonly activation?: Activation;
  readonly rmsNormEpsilon: number;
  /** True if the projections of attention have biases. Default false. */
  readonly attentionBias?: boolean;
  /** True if its output projection has one. Default: attentionBias. */
  readonly outputBias?: boolean;
  /** Default false. */
  readonly mlpBias?: boolean;
  /** True if each head of queries and keys is normed. Default false. */
  readonly headNorm?: boolean;
  /** Tokens that a layer, from 0, looks back on, including its own. Default: all. */
  readonly window?: ((layer: number) => number | undefined) | undefined;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
}

/** Defaults of transformers for one architecture, where architectures differ. */
export interface DecoderDefaults {
  readonly maxSequenceLength: number;
  /** Default: num_attention_heads. A null in the config always means that. */
  readonly numKeyValueHeads?: number;
  /** Default hidden_size / num_attention_heads. */
  readonly headDim?: number;
  /** Default 1e-6. */
  readonly rmsNormEpsilon?: number;
  /** Differences in rotary positions. */
  readonly rope?: Omit<RopeKeys, "maxLength">;
}

/** Rotary positions of every layer. */
export function ropeOf({ headDim, rotaryDim, ropeTheta: theta, ropeScaling: scaling }: DecoderConfig): Rope {
  return { headDim, rotaryDim, theta, scaling };
}

/** Reads the keys that all these architectures share. */
export function readDecoder(reader: ConfigReader, defaults: DecoderDefaults): DecoderConfig {
  refuseForeignKeys(reader);
  const hiddenSize = reader.count("hidden_size");
  const heads = readHeads(reader, hiddenSize, defaults);
  const maxLength = reader.count("max_position_embeddings", defaults.maxSequenceLength);
  const rope = readRope(reader, heads.headDim, { ...originalLength(reader), ...defaults.rope, maxLength });
  const config: DecoderConfig = {
    vocabSize: reader.count("vocab_size"),
    hiddenSize,
    intermediateSize: reader.count("intermediate_size"),
    numLayers: reader.count("num_hidden_layers"),
    ...heads,
    rotaryDim: rope.rotaryDim,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    activation: reader.choice("hidden_act", ACTIVATIONS, "silu"),
    rmsNormEpsilon: reader.positive("rms_norm_eps", defaults.rmsNormEpsilon ?? 1e-6),
    maxSequenceLength: usableLength(maxLength, rope.scaling),
    tieWordEmbeddings: reader.boolean("tie_word_embeddings", false),
    initializerRange: reader.atLeastZero("initializer_range", 0.02),
  };
  reader.matrices(hiddenSize, [config.vocabSize, config.intermediateSize, heads.numHeads * heads.headDim]);
  return config;
}

/** Length before the stretching, if it stands beside the rotary positions; it then goes before any in them. */
export function originalLength(reader: ConfigReader): Pick<RopeKeys, "originalLength"> {
  const key = "original_max_position_embeddings";
  return reader.has(key) ? { originalLength: reader.count(key) } : {};
}

/** Reads the heads, with rotary positions and shared key heads. */
export function readHeads(
  reader: ConfigReader,
  hiddenSize: number,
  defaults: Pick<DecoderDefaults, "numKeyValueHeads" | "headDim">,
): Pick<DecoderConfig, "numHeads" | "numKeyValueHeads" | "headDim"> {
  const numHeads = reader.count("num_attention_heads");
  const missing = reader.isNull("num_key_value_heads") ? undefined : defaults.numKeyValueHeads;
  const numKeyValueHeads = reader.count("num_key_value_heads", missing ?? numHeads);
  if (numHeads % numKeyValueHeads > 0)
    reader.faults.push(
      `num_attention_heads (${numHeads}) must be a multiple of num_key_value_heads (${numKeyValueHeads})`,
    );
  const headDim = reader.count("head_dim", defaults.headDim ?? hiddenSize / numHeads);
  if (headDim % 1 > 0)
    reader.faults.push(`hidden_size (${hiddenSize}) must be a multiple of num_attention_heads (${numHeads})`);
  else if (headDim % 2 > 0) reader.faults.push(`head_dim must be even for rotary positions, got ${headDim}`);
  return { numHeads, numKeyValueHeads, headDim };
}
