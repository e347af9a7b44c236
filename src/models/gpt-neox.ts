import { Embedding } from "../nn/embedding.js";
import { LayerNorm } from "../nn/layer-norm.js";
import { Linear, type LinearLayer } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import type { Rope } from "../nn/rope.js";
import type { AttentionSizes, Sequence } from "../nn/sequence.js";
import { add } from "../ops/elementwise.js";
import { reshape, slice } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { ACTIVATIONS, type Activation } from "./activation.js";
import type { Architecture } from "./causal-lm.js";
import { CausalLM, type CausalLMConfig, LanguageModelHead, runLayers } from "./causal-lm.js";
import { ConfigReader } from "./config-reader.js";
import { originalLength } from "./decoder-config.js";
import { refuseForeignKeys } from "./foreign-keys.js";
import { MLP } from "./mlp.js";
import { readRope, usableLength } from "./rope-config.js";
import { prefixed, type WeightStorage } from "./weight-storage.js";

/** GPT-NeoX (Black et al. 2022, arXiv:2204.06745) and Pythia (Biderman et al. 2023, arXiv:2304.01373), in our names. */
export interface GPTNeoXConfig extends CausalLMConfig {
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly headDim: number;
  readonly rope: Rope;
  readonly activation: Activation;
  readonly layerNormEpsilon: number;
  /** True if attention and MLP read the same input and their outputs are added. */
  readonly parallelResidual: boolean;
  /** True if the projections of attention have biases; those of the MLP always do. */
  readonly attentionBias: boolean;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
}

/**
 * Reads the config.json of a Hugging Face folder.
 * @throws ModelError naming all that highrank does not compute; CheckpointError for invalid values.
 */
export function readGPTNeoXConfig(json: Readonly<Record<string, unknown>>): GPTNeoXConfig {
  const reader = new ConfigReader(json);
  refuseForeignKeys(reader);
  const hiddenSize = reader.count("hidden_size");
  const numHeads = reader.count("num_attention_heads");
  const headDim = hiddenSize / numHeads;
  if (!Number.isSafeInteger(headDim))
    reader.faults.push(`hidden_size (${hiddenSize}) must be a multiple of num_attention_heads (${numHeads})`);
  // transformers would turn positions by it, and split heads by the quotient.
  reader.only("head_dim", headDim);
  const maxLength = reader.count("max_position_embeddings", 2048);
  const rope = readRope(reader, headDim, {
    ...originalLength(reader),
    ...{ theta: ["rotary_emb_base", 10_000], share: ["rotary_pct", 0.25], maxLength },
  });
  const config: GPTNeoXConfig = {
    vocabSize: reader.count("vocab_size"),
    hiddenSize,
    intermediateSize: reader.count("intermediate_size"),
    numLayers: reader.count("num_hidden_layers"),
    numHeads,
    headDim,
    rope,
    maxSequenceLength: usableLength(maxLength, rope.scaling),
    tieWordEmbeddings: reader.boolean("tie_word_embeddings", false),
    activation: reader.choice("hidden_act", ACTIVATIONS, "gelu"),
    layerNormEpsilon: reader.positive("layer_norm_eps", 1e-5),
    parallelResidual: reader.boolean("use_parallel_residual", true),
    attentionBias: reader.boolean("attention_bias", true),
    initializerRange: reader.atLeastZero("initializer_range", 0.02),
  };
  reader.matrices(hiddenSize, [config.vocabSize, config.intermediateSize, 3 * hiddenSize]);
  reader.finish();
  return config;
}

class GPTNeoXAttention extends Module {
  /** Query, key and value of each head, one head after another. */
  qkvProj: LinearLayer;
  outProj: LinearLayer;

  readonly #sizes: AttentionSizes;
  readonly #rope: Rope;

  constructor(config: GPTNeoXConfig, rng: Rng) {
    super();
    const { hiddenSize, numHeads, headDim, rope, attentionBias: bias, initializerRange: std } = config;
    this.#sizes = { numHeads, numKeyValueHeads: numHeads, headDim };
    this.#rope = rope;
    this.qkvProj = Linear.random(hiddenSize, 3 * hiddenSize, rng.fork("qkv"), std, { bias });
    this.outProj = Linear.random(hiddenSize, hiddenSize, rng.fork("out"), std, { bias });
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const { numHeads, headDim } = this.#sizes;
    const byHead = reshape(this.qkvProj.forward(x), [x.shape[0]!, numHeads, 3 * headDim]);
    const [q, k, v] = [0, 1, 2].map((part) =>
      reshape(slice(byHead, 2, part * headDim, (part + 1) * headDim), [x.shape[0]!, numHeads * headDim]),
    );
    const [query, key] = [q!, k!].map((each) => sequence.rotate(each, this.#rope));
    return this.outProj.forward(sequence.attend(layer, query!, key!, v!, this.#sizes));
  }
}

class GPTNeoXLayer extends Module {
  readonly inputNorm: LayerNorm;
  readonly postAttentionNorm: LayerNorm;
  readonly attention: GPTNeoXAttention;
  readonly mlp: MLP;

  readonly #parallelResidual: boolean;

  constructor(config: GPTNeoXConfig, rng: Rng) {
    super();
    const { hiddenSize, layerNormEpsilon: epsilon } = config;
    this.inputNorm = new LayerNorm(hiddenSize, { epsilon });
    this.postAttentionNorm = new LayerNorm(hiddenSize, { epsilon });
    this.attention = new GPTNeoXAttention(config, rng);
    this.mlp = new MLP(config, rng);
    this.#parallelResidual = config.parallelResidual;
  }

  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const attended = add(x, this.attention.forward(this.inputNorm.forward(x), layer, sequence));
    return add(attended, this.mlp.forward(this.postAttentionNorm.forward(this.#parallelResidual ? x : attended)));
  }
}

/** A GPT-NeoX language model: embeddings, layers, final norm and an output projection. */
export class GPTNeoXForCausalLM extends CausalLM {
  readonly config: GPTNeoXConfig;
  readonly embedTokens: Embedding;
  readonly layers: GPTNeoXLayer[];
  readonly norm: LayerNorm;
  readonly lmHead: LanguageModelHead;

  /** Random weights: normal with the config's initializerRange; norms at one, biases at zero. */
  constructor(config: GPTNeoXConfig, rng: Rng) {
    super();
    const { vocabSize, hiddenSize, numLayers, initializerRange: std } = config;
    this.config = config;
    this.embedTokens = Embedding.random(vocabSize, hiddenSize, rng.fork("embed"), std);
    this.layers = Array.from({ length: numLayers }, (_, i) => new GPTNeoXLayer(config, rng.fork(`layer${i}`)));
    this.norm = new LayerNorm(hiddenSize, { epsilon: config.layerNormEpsilon });
    this.lmHead = LanguageModelHead.of(config, this.embedTokens, rng);
  }

  protected override forward(ids: Tensor, sequence: Sequence, checkpointing: boolean): Tensor {
    const x = reshape(this.embedTokens.forward(ids), [ids.size, this.config.hiddenSize]);
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
  embedTokens: "gpt_neox.embed_in",
  layers: "gpt_neox.layers",
  norm: "gpt_neox.final_layer_norm",
  lmHead: "embed_out",
  inputNorm: "input_layernorm",
  postAttentionNorm: "post_attention_layernorm",
  qkvProj: "query_key_value",
  outProj: "dense",
  upProj: "dense_h_to_4h",
  downProj: "dense_4h_to_h",
};

const neoxName = prefixed("gpt_neox", ["embed_in", "layers", "final_layer_norm"], "lm_head");

/** transformers' own name of the head since version 5, though its files of models keep the older one. */
const IN_TRANSFORMERS: ReadonlyMap<string, string> = new Map([["embed_out", "lm_head"]]);

/** Weight files of older versions hold masks and wavelengths as well. */
const STORAGE: WeightStorage = {
  nameOf(stored) {
    if (/\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/.test(stored)) return undefined;
    return neoxName(stored).replace(/^lm_head\./, "embed_out.");
  },
  isTransposed: () => false,
  inTransformers: IN_TRANSFORMERS,
};

/** GPT-NeoX and Pythia. */
export const GPT_NEOX: Architecture = {
  modelType: "gpt_neox",
  inTransformers: IN_TRANSFORMERS,
  describe(json) {
    const config = readGPTNeoXConfig(json);
    return { config, storage: STORAGE, create: (rng) => new GPTNeoXForCausalLM(config, rng) };
  },
};
