import { Embedding } from "../nn/embedding.js";
import { LayerNorm } from "../nn/layer-norm.js";
import { Linear, type LinearLayer } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import type { AttentionSizes, Sequence } from "../nn/sequence.js";
import { add } from "../ops/elementwise.js";
import { reshape, slice } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { ACTIVATIONS, type Activation } from "./activation.js";
import type { Architecture } from "./causal-lm.js";
import { CausalLM, type CausalLMConfig, LanguageModelHead, runLayers } from "./causal-lm.js";
import { ConfigReader } from "./config-reader.js";
import { refuseForeignKeys } from "./foreign-keys.js";
import { MLP } from "./mlp.js";
import { prefixed, type WeightStorage } from "./weight-storage.js";

/** GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"), in our names. */
export interface GPT2Config extends CausalLMConfig {
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly headDim: number;
  readonly activation: Activation;
  readonly layerNormEpsilon: number;
  /** True if scores are divided by √headDim. */
  readonly scalesByHead: boolean;
  /** True if scores of layer i, from 0, are divided by i + 1. */
  readonly scalesByLayer: boolean;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
}

/**
 * Reads the config.json of a Hugging Face folder.
 * @throws ModelError naming all that highrank does not compute; CheckpointError for invalid values.
 */
export function readGPT2Config(json: Readonly<Record<string, unknown>>): GPT2Config {
  const reader = new ConfigReader(renamed(json));
  refuseForeignKeys(reader);
  reader.only("add_cross_attention", false);
  const hiddenSize = reader.count("n_embd", 768);
  const numHeads = reader.count("n_head", 12);
  const headDim = hiddenSize / numHeads;
  if (!Number.isSafeInteger(headDim))
    reader.faults.push(`n_embd (${hiddenSize}) must be a multiple of n_head (${numHeads})`);
  const config: GPT2Config = {
    vocabSize: reader.count("vocab_size", 50_257),
    hiddenSize,
    intermediateSize: reader.count("n_inner", 4 * hiddenSize),
    numLayers: reader.count("n_layer", 12),
    numHeads,
    headDim,
    maxSequenceLength: reader.count("n_positions", reader.count("n_ctx", 1024)),
    tieWordEmbeddings: reader.boolean("tie_word_embeddings", true),
    activation: reader.choice("activation_function", ACTIVATIONS, "gelu_new"),
    layerNormEpsilon: reader.positive("layer_norm_epsilon", 1e-5),
    scalesByHead: reader.boolean("scale_attn_weights", true),
    scalesByLayer: reader.boolean("scale_attn_by_inverse_layer_idx", false),
    initializerRange: reader.atLeastZero("initializer_range", 0.02),
  };
  reader.matrices(hiddenSize, [config.vocabSize, config.maxSequenceLength, config.intermediateSize, 3 * hiddenSize]);
  reader.finish();
  return config;
}

/** Names of other architectures for keys of GPT-2; transformers reads both, and the other one goes first. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  hidden_size: "n_embd",
  max_position_embeddings: "n_positions",
  num_attention_heads: "n_head",
  num_hidden_layers: "n_layer",
};

function renamed(json: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const given = Object.entries(OTHER_NAMES).filter(([other]) => json[other] !== undefined);
  return { ...json, ...Object.fromEntries(given.map(([other, own]) => [own, json[other]])) };
}

class GPT2Attention extends Module {
  /** Queries, keys and values, one after another. */
  qkvProj: LinearLayer;
  outProj: LinearLayer;

  readonly #sizes: AttentionSizes;

  constructor(config: GPT2Config, layer: number, rng: Rng) {
    super();
    const { hiddenSize, numHeads, headDim, scalesByHead, scalesByLayer, initializerRange: std } = config;
    const scale = (scalesByHead ? 1 / Math.sqrt(headDim) : 1) / (scalesByLayer ? layer + 1 : 1);
    this.#sizes = { numHeads, numKeyValueHeads: numHeads, headDim, scale };
    this.qkvProj = Linear.random(hiddenSize, 3 * hiddenSize, rng.fork("qkv"), std, { bias: true });
    this.outProj = Linear.random(hiddenSize, hiddenSize, rng.fork("out"), std, { bias: true });
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const qkv = this.qkvProj.forward(x);
    const hidden = x.shape[1]!;
    const [q, k, v] = [0, 1, 2].map((part) => slice(qkv, 1, part * hidden, (part + 1) * hidden));
    return this.outProj.forward(sequence.attend(layer, q!, k!, v!, this.#sizes));
  }
}

class GPT2Layer extends Module {
  readonly inputNorm: LayerNorm;
  readonly attention: GPT2Attention;
  readonly postAttentionNorm: LayerNorm;
  readonly mlp: MLP;

  constructor(config: GPT2Config, layer: number, rng: Rng) {
    super();
    const epsilon = config.layerNormEpsilon;
    this.inputNorm = new LayerNorm(config.hiddenSize, { epsilon });
    this.attention = new GPT2Attention(config, layer, rng);
    this.postAttentionNorm = new LayerNorm(config.hiddenSize, { epsilon });
    this.mlp = new MLP(config, rng);
  }

  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const attended = add(x, this.attention.forward(this.inputNorm.forward(x), layer, sequence));
    return add(attended, this.mlp.forward(this.postAttentionNorm.forward(attended)));
  }
}

/** A GPT-2 language model: embeddings of tokens and of positions, layers, final norm and an output projection. */
export class GPT2ForCausalLM extends CausalLM {
  readonly config: GPT2Config;
  readonly embedTokens: Embedding;
  readonly embedPositions: Embedding;
  readonly layers: GPT2Layer[];
  readonly norm: LayerNorm;
  readonly lmHead: LanguageModelHead;

  /** Random weights: normal with the config's initializerRange; norms at one, biases at zero. */
  constructor(config: GPT2Config, rng: Rng) {
    super();
    const { vocabSize, hiddenSize, numLayers, maxSequenceLength, initializerRange: std } = config;
    this.config = config;
    this.embedTokens = Embedding.random(vocabSize, hiddenSize, rng.fork("embed"), std);
    this.embedPositions = Embedding.random(maxSequenceLength, hiddenSize, rng.fork("positions"), std);
    this.layers = Array.from({ length: numLayers }, (_, i) => new GPT2Layer(config, i, rng.fork(`layer${i}`)));
    this.norm = new LayerNorm(hiddenSize, { epsilon: config.layerNormEpsilon });
    this.lmHead = LanguageModelHead.of(config, this.embedTokens, rng);
  }

  protected override forward(ids: Tensor, sequence: Sequence, checkpointing: boolean): Tensor {
    const tokens = reshape(this.embedTokens.forward(ids), [ids.size, this.config.hiddenSize]);
    const x = add(tokens, sequence.lookUp(this.embedPositions.weight));
    return this.norm.forward(runLayers(this.layers, x, sequence, checkpointing));
  }

  protected override get namesOnDisk(): Readonly<Record<string, string>> {
    return HUGGING_FACE_NAMES;
  }

  override get storage(): WeightStorage {
    return STORAGE;
  }
}

const HUGGING_FACE_NAMES: Readonly<Record<string, string>> = {
  embedTokens: "transformer.wte",
  embedPositions: "transformer.wpe",
  layers: "transformer.h",
  norm: "transformer.ln_f",
  lmHead: "lm_head",
  inputNorm: "ln_1",
  attention: "attn",
  qkvProj: "c_attn",
  outProj: "c_proj",
  postAttentionNorm: "ln_2",
  upProj: "c_fc",
  downProj: "c_proj",
};

const gpt2Name = prefixed("transformer", ["wte", "wpe", "h", "ln_f"], "lm_head");

/** Older files hold masks; linear layers are transformers' Conv1D. */
const STORAGE: WeightStorage = {
  nameOf(stored) {
    if (/(^|\.)h\.\d+\.attn\.(bias|masked_bias)$/.test(stored)) return undefined;
    return gpt2Name(stored);
  },
  isTransposed: (weight) => /\.(c_attn|c_proj|c_fc)\.weight$/.test(weight),
};

export const GPT2: Architecture = {
  modelType: "gpt2",
  describe(json) {
    const config = readGPT2Config(json);
    return { config, storage: STORAGE, create: (rng) => new GPT2ForCausalLM(config, rng) };
  },
};
