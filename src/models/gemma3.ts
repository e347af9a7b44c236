import { Embedding } from "../nn/embedding.js";
import { Module } from "../nn/module.js";
import { RMSNorm } from "../nn/rms-norm.js";
import type { Rope } from "../nn/rope.js";
import type { Sequence } from "../nn/sequence.js";
import { add, mul } from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { ACTIVATIONS, type Activation } from "./activation.js";
import { Attention, type AttentionOptions } from "./attention.js";
import type { Architecture } from "./causal-lm.js";
import { CausalLM, type CausalLMConfig, LanguageModelHead, runLayers } from "./causal-lm.js";
import { ConfigReader } from "./config-reader.js";
import { DECODER_NAMES, DECODER_STORAGE } from "./decoder.js";
import { readHeads } from "./decoder-config.js";
import { refuseForeignKeys } from "./foreign-keys.js";
import { readLayerTypes } from "./layer-types.js";
import { GatedMLP } from "./mlp.js";
import { readParameters, usableLength } from "./rope-config.js";
import type { WeightStorage } from "./weight-storage.js";

/** Gemma 3's text model (Gemma Team 2025, arXiv:2503.19786), in our names. */
export interface Gemma3Config extends CausalLMConfig {
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly activation: Activation;
  readonly rmsNormEpsilon: number;
  /** Scores are divided by its square root. */
  readonly queryPreAttentionScalar: number;
  readonly attentionBias: boolean;
  /** True if a layer, from 0, looks back only on a window and has its own positions. */
  readonly isLocal: (layer: number) => boolean;
  /** Tokens that a local layer looks back on, including its own. */
  readonly window: number;
  readonly localRope: Rope;
  /** That of the layers that look back on all tokens. */
  readonly rope: Rope;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
}

/**
 * Reads the config.json of a Hugging Face folder.
 * @throws ModelError naming all that highrank does not compute; CheckpointError for invalid values.
 */
export function readGemma3Config(json: Readonly<Record<string, unknown>>): Gemma3Config {
  const reader = new ConfigReader(json);
  refuseForeignKeys(reader, ["query_pre_attn_scalar", "final_logit_softcapping"]);
  const hiddenSize = reader.count("hidden_size");
  const heads = readHeads(reader, hiddenSize, { numKeyValueHeads: 4, headDim: 256 });
  const numLayers = reader.count("num_hidden_layers");
  const intermediateSize = reader.count("intermediate_size");
  const vocabSize = reader.count("vocab_size");
  const maxLength = reader.count("max_position_embeddings", 131_072);
  const ropes = readRopes(reader, heads.headDim, maxLength);
  const isLocal = readLayerTypes(reader, numLayers, everyLayerBut(reader.count("sliding_window_pattern", 6)));
  if (reader.isNull("sliding_window") && Array.from({ length: numLayers }, (_, i) => isLocal(i)).includes(true))
    reader.faults.push("sliding_window must be a positive integer where a layer has sliding_attention, got null");
  const config: Gemma3Config = {
    vocabSize,
    hiddenSize,
    intermediateSize,
    numLayers,
    ...heads,
    maxSequenceLength: usableLength(maxLength, ropes.rope.scaling),
    tieWordEmbeddings: reader.boolean("tie_word_embeddings", true),
    logitSoftcap: reader.optional("final_logit_softcapping"),
    activation: reader.choice("hidden_activation", ACTIVATIONS, "gelu_pytorch_tanh"),
    rmsNormEpsilon: reader.positive("rms_norm_eps", 1e-6),
    queryPreAttentionScalar: reader.positive("query_pre_attn_scalar", 256),
    attentionBias: reader.boolean("attention_bias", false),
    isLocal,
    window: reader.count("sliding_window", 4096),
    ...ropes,
    initializerRange: reader.atLeastZero("initializer_range", 0.02),
  };
  reader.matrices(hiddenSize, [vocabSize, intermediateSize, heads.numHeads * heads.headDim]);
  reader.finish();
  return config;
}

/** The local layers of configs without `layer_types`: all but every n-th. */
function everyLayerBut(nth: number): (layer: number) => boolean {
  return (layer) => (layer + 1) % nth !== 0;
}

/**
 * Both kinds of layers have positions of their own, in `rope_parameters` or beside it; `rope_scaling` of older configs
 * is about the layers that look back on all tokens.
 */
function readRopes(reader: ConfigReader, headDim: number, maxLength: number): Pick<Gemma3Config, "localRope" | "rope"> {
  const parameters = reader.object("rope_parameters");
  // Of these transformers reads only those of a kind of layer, apart from `truncate`.
  parameters.only("rope_type", "default");
  parameters.only("truncate", true);
  const [local, global] = [parameters.object("sliding_attention"), parameters.object("full_attention")];
  for (const each of [local, global]) each.only("truncate", true);
  const keys = { maxLength };
  const rope = (kind: ConfigReader, key: string, fallback: number): Rope =>
    readParameters(reader, kind, headDim, { ...keys, theta: [key, fallback] });
  return {
    localRope: rope(local, "rope_local_base_freq", 10_000),
    rope: rope(withScaling(reader, global), "rope_theta", 1_000_000),
  };
}

/** transformers lets `rope_scaling` replace what `rope_parameters` says, but not the type by its older name. */
function withScaling(reader: ConfigReader, global: ConfigReader): ConfigReader {
  const scaling = reader.object("rope_scaling");
  if (Object.keys(scaling.json).length === 0) return global;
  if (scaling.has("type") && !scaling.has("rope_type"))
    scaling.refuse("type must be called rope_type in this architecture: transformers does not read it");
  scaling.only("truncate", true);
  return reader.part("rope_scaling", { ...global.json, ...scaling.json });
}

function gemmaAttention(config: Gemma3Config, layer: number, rng: Rng): Attention {
  const { hiddenSize, numHeads, numKeyValueHeads, headDim, rmsNormEpsilon: epsilon, initializerRange } = config;
  const isLocal = config.isLocal(layer);
  const options: AttentionOptions = {
    hiddenSize,
    sizes: {
      ...{ numHeads, numKeyValueHeads, headDim },
      scale: config.queryPreAttentionScalar ** -0.5,
      window: isLocal ? config.window : undefined,
    },
    rope: isLocal ? config.localRope : config.rope,
    bias: config.attentionBias,
    headNorm: { epsilon, offset: 1 },
    initializerRange,
  };
  return new Attention(options, rng);
}

/** A layer with a norm before and one after each block. */
class Gemma3Layer extends Module {
  readonly inputNorm: RMSNorm;
  readonly attention: Attention;
  readonly postAttentionNorm: RMSNorm;
  readonly preMlpNorm: RMSNorm;
  readonly mlp: GatedMLP;
  readonly postMlpNorm: RMSNorm;

  constructor(config: Gemma3Config, layer: number, rng: Rng) {
    super();
    this.inputNorm = gemmaNorm(config.hiddenSize, config);
    this.attention = gemmaAttention(config, layer, rng);
    this.postAttentionNorm = gemmaNorm(config.hiddenSize, config);
    this.preMlpNorm = gemmaNorm(config.hiddenSize, config);
    this.mlp = new GatedMLP(config, rng);
    this.postMlpNorm = gemmaNorm(config.hiddenSize, config);
  }

  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const attended = this.attention.forward(this.inputNorm.forward(x), layer, sequence);
    const y = add(x, this.postAttentionNorm.forward(attended));
    return add(y, this.postMlpNorm.forward(this.mlp.forward(this.preMlpNorm.forward(y))));
  }
}

/** A norm whose weight is the distance from 1. */
function gemmaNorm(dim: number, { rmsNormEpsilon: epsilon }: Gemma3Config): RMSNorm {
  return new RMSNorm(dim, { epsilon, offset: 1 });
}

/** A Gemma 3 language model: scaled embeddings, layers, final norm and an output projection. */
export class Gemma3ForCausalLM extends CausalLM {
  readonly config: Gemma3Config;
  readonly embedTokens: Embedding;
  readonly layers: Gemma3Layer[];
  readonly norm: RMSNorm;
  readonly lmHead: LanguageModelHead;

  /** Random weights: normal with the config's initializerRange; norms at zero, which is a factor of one. */
  constructor(config: Gemma3Config, rng: Rng) {
    super();
    const { vocabSize, hiddenSize, numLayers, initializerRange: std } = config;
    this.config = config;
    this.embedTokens = Embedding.random(vocabSize, hiddenSize, rng.fork("embed"), std);
    this.layers = Array.from({ length: numLayers }, (_, i) => new Gemma3Layer(config, i, rng.fork(`layer${i}`)));
    this.norm = gemmaNorm(hiddenSize, config);
    this.lmHead = LanguageModelHead.of(config, this.embedTokens, rng);
  }

  protected override forward(ids: Tensor, sequence: Sequence, checkpointing: boolean): Tensor {
    const { hiddenSize } = this.config;
    const x = mul(reshape(this.embedTokens.forward(ids), [ids.size, hiddenSize]), Math.sqrt(hiddenSize));
    return this.norm.forward(runLayers(this.layers, x, sequence, checkpointing));
  }

  protected override get namesOnDisk(): Readonly<Record<string, string>> {
    return HUGGING_FACE_NAMES;
  }

  override get storage(): WeightStorage {
    return DECODER_STORAGE;
  }
}

const HUGGING_FACE_NAMES: Readonly<Record<string, string>> = {
  ...DECODER_NAMES,
  preMlpNorm: "pre_feedforward_layernorm",
  postMlpNorm: "post_feedforward_layernorm",
};

/** The text model of Gemma 3. */
export const GEMMA3: Architecture = {
  modelType: "gemma3_text",
  describe(json) {
    const config = readGemma3Config(json);
    return { config, storage: DECODER_STORAGE, create: (rng) => new Gemma3ForCausalLM(config, rng) };
  },
};
