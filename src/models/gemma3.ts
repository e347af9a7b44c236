import type { Rope } from "../nn/attention.js";
import { Embedding } from "../nn/embedding.js";
import { Linear, type LinearLayer } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import { RMSNorm } from "../nn/rms-norm.js";
import type { AttentionSizes, Sequence } from "../nn/sequence.js";
import { add, mul } from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import { shownValue } from "../tensor/json.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { ACTIVATIONS, type Activation } from "./activation.js";
import type { Architecture } from "./architectures.js";
import { CausalLM, type CausalLMConfig, LanguageModelHead, runLayers } from "./causal-lm.js";
import { ConfigReader } from "./config-reader.js";
import { GatedMLP } from "./mlp.js";

/** Gemma 3's text model (Gemma Team 2025, arXiv:2503.19786), in our names. */
export interface Gemma3Config extends CausalLMConfig {
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly activation: Activation;
  readonly rmsNormEpsilon: number;
  /** Scores are divided by its root. */
  readonly queryPreAttentionScalar: number;
  readonly attentionSoftcap: number | undefined;
  readonly attentionBias: boolean;
  /** Whether a layer, from 0, looks back on a window alone, with positions of its own. */
  readonly isLocal: (layer: number) => boolean;
  /** Tokens that a local layer looks back on, the own one included. */
  readonly window: number;
  readonly localRopeTheta: number;
  readonly ropeTheta: number;
  /** What positions are divided by in the layers that look back on all. */
  readonly ropeFactor: number;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
}

/** config.json of a Hugging Face folder → ours. @throws CheckpointError naming what is wrong and what we do not compute. */
export function readGemma3Config(json: Readonly<Record<string, unknown>>): Gemma3Config {
  const reader = new ConfigReader(json);
  reader.only("use_bidirectional_attention", false);
  const hiddenSize = reader.count("hidden_size");
  const numHeads = reader.count("num_attention_heads");
  const numKeyValueHeads = reader.count("num_key_value_heads", numHeads);
  const headDim = reader.count("head_dim", 256);
  if (numHeads % numKeyValueHeads !== 0)
    reader.faults.push(
      `num_attention_heads (${numHeads}) must be a multiple of num_key_value_heads (${numKeyValueHeads})`,
    );
  if (headDim % 2 !== 0) reader.faults.push(`head_dim must be even for rotary positions, got ${headDim}`);
  const numLayers = reader.count("num_hidden_layers");
  const intermediateSize = reader.count("intermediate_size");
  const vocabSize = reader.count("vocab_size");
  const config: Gemma3Config = {
    vocabSize,
    hiddenSize,
    intermediateSize,
    numLayers,
    numHeads,
    numKeyValueHeads,
    headDim,
    maxSequenceLength: reader.count("max_position_embeddings", 131_072),
    tieWordEmbeddings: reader.boolean("tie_word_embeddings", true),
    logitSoftcap: reader.optional("final_logit_softcapping"),
    activation: reader.choice("hidden_activation", ACTIVATIONS, "gelu_pytorch_tanh"),
    rmsNormEpsilon: reader.positive("rms_norm_eps", 1e-6),
    queryPreAttentionScalar: reader.positive("query_pre_attn_scalar", 256),
    attentionSoftcap: reader.optional("attn_logit_softcapping"),
    attentionBias: reader.boolean("attention_bias", false),
    isLocal: readLayerTypes(reader, numLayers),
    window: reader.count("sliding_window", 4096),
    ...readRope(reader),
    initializerRange: reader.atLeastZero("initializer_range", 0.02),
  };
  reader.matrices(hiddenSize, [vocabSize, intermediateSize, numHeads * headDim]);
  reader.finish();
  return config;
}

/** `layer_types` names each layer; before, every n-th looked back on all. */
function readLayerTypes(reader: ConfigReader, numLayers: number): (layer: number) => boolean {
  if (!reader.has("layer_types")) {
    const pattern = reader.count("sliding_window_pattern", 6);
    return (layer) => (layer + 1) % pattern !== 0;
  }
  const { layer_types: given } = reader.json;
  const types: readonly unknown[] = Array.isArray(given) ? given : [];
  const known: readonly unknown[] = ["sliding_attention", "full_attention"];
  if (types.length !== numLayers)
    reader.faults.push(`layer_types must name ${numLayers} layers, got ${shownValue(given)}`);
  for (const type of new Set(types)) {
    if (!known.includes(type))
      reader.faults.push(`layer_types has ${shownValue(type)}, supported are ${known.join(", ")}`);
  }
  return (layer) => types[layer] === known[0];
}

/** Newer versions of transformers keep the positions of both kinds of layer in `rope_parameters`. */
function readRope(reader: ConfigReader): Pick<Gemma3Config, "localRopeTheta" | "ropeTheta" | "ropeFactor"> {
  const scaling = reader.object("rope_scaling");
  const parameters = reader.object("rope_parameters");
  parameters.only("rope_type", "default");
  const [local, global] = [parameters.object("sliding_attention"), parameters.object("full_attention")];
  local.only("rope_type", "default");
  const factor = (of: ConfigReader): number => {
    const kinds = { default: false, linear: true };
    const isLinear = of.choice(of.has("type") ? "type" : "rope_type", kinds, "default");
    return isLinear ? of.positive("factor") : 1;
  };
  return {
    localRopeTheta: local.positive("rope_theta", reader.positive("rope_local_base_freq", 10_000)),
    ropeTheta: global.positive("rope_theta", reader.positive("rope_theta", 1_000_000)),
    ropeFactor: factor(scaling) * factor(global),
  };
}

class Gemma3Attention extends Module {
  qProj: LinearLayer;
  kProj: LinearLayer;
  vProj: LinearLayer;
  oProj: LinearLayer;
  readonly qNorm: RMSNorm;
  readonly kNorm: RMSNorm;

  readonly #sizes: AttentionSizes;
  readonly #rope: Rope;

  constructor(config: Gemma3Config, layer: number, rng: Rng) {
    super();
    const { hiddenSize, numHeads, numKeyValueHeads, headDim, attentionBias: bias, initializerRange: std } = config;
    const isLocal = config.isLocal(layer);
    this.#sizes = {
      numHeads,
      numKeyValueHeads,
      headDim,
      scale: config.queryPreAttentionScalar ** -0.5,
      softcap: config.attentionSoftcap,
      ...(isLocal && { window: config.window }),
    };
    this.#rope = isLocal
      ? { headDim, theta: config.localRopeTheta }
      : { headDim, theta: config.ropeTheta, scaling: { kind: "linear", factor: config.ropeFactor } };
    this.qProj = Linear.random(hiddenSize, numHeads * headDim, rng.fork("q"), std, { bias });
    this.kProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("k"), std, { bias });
    this.vProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("v"), std, { bias });
    this.oProj = Linear.random(numHeads * headDim, hiddenSize, rng.fork("o"), std, { bias });
    this.qNorm = gemmaNorm(headDim, config);
    this.kNorm = gemmaNorm(headDim, config);
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const { headDim } = this.#sizes;
    const headwise = (norm: RMSNorm, y: Tensor): Tensor =>
      reshape(norm.forward(reshape(y, [y.size / headDim, headDim])), y.shape);
    const q = sequence.rotate(headwise(this.qNorm, this.qProj.forward(x)), this.#rope);
    const k = sequence.rotate(headwise(this.kNorm, this.kProj.forward(x)), this.#rope);
    return this.oProj.forward(sequence.attend(layer, q, k, this.vProj.forward(x), this.#sizes));
  }
}

/** A norm before and one after each block. */
class Gemma3Layer extends Module {
  readonly inputNorm: RMSNorm;
  readonly attention: Gemma3Attention;
  readonly postAttentionNorm: RMSNorm;
  readonly preMlpNorm: RMSNorm;
  readonly mlp: GatedMLP;
  readonly postMlpNorm: RMSNorm;

  constructor(config: Gemma3Config, layer: number, rng: Rng) {
    super();
    this.inputNorm = gemmaNorm(config.hiddenSize, config);
    this.attention = new Gemma3Attention(config, layer, rng);
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

/** Its weight is the distance from 1. */
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
}

const HUGGING_FACE_NAMES: Readonly<Record<string, string>> = {
  embedTokens: "model.embed_tokens",
  layers: "model.layers",
  norm: "model.norm",
  lmHead: "lm_head",
  inputNorm: "input_layernorm",
  attention: "self_attn",
  qProj: "q_proj",
  kProj: "k_proj",
  vProj: "v_proj",
  oProj: "o_proj",
  qNorm: "q_norm",
  kNorm: "k_norm",
  postAttentionNorm: "post_attention_layernorm",
  preMlpNorm: "pre_feedforward_layernorm",
  gateProj: "gate_proj",
  upProj: "up_proj",
  downProj: "down_proj",
  postMlpNorm: "post_feedforward_layernorm",
};

/** The text model of Gemma 3. */
export const GEMMA3: Architecture = {
  modelType: "gemma3_text",
  describe(json) {
    const config = readGemma3Config(json);
    return { config, create: (rng) => new Gemma3ForCausalLM(config, rng) };
  },
};
