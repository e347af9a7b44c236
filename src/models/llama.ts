import type { Rope } from "../nn/attention.js";
import { Embedding } from "../nn/embedding.js";
import { Linear, type LinearLayer } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import { RMSNorm } from "../nn/rms-norm.js";
import type { AttentionSizes, Sequence } from "../nn/sequence.js";
import { add, silu } from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Architecture } from "./architectures.js";
import { CausalLM, LanguageModelHead, runLayers } from "./causal-lm.js";
import { type LlamaConfig, readLlamaConfig } from "./llama-config.js";
import { GatedMLP } from "./mlp.js";

class LlamaAttention extends Module {
  qProj: LinearLayer;
  kProj: LinearLayer;
  vProj: LinearLayer;
  oProj: LinearLayer;

  readonly #sizes: AttentionSizes;
  readonly #rope: Rope;

  constructor(config: LlamaConfig, rng: Rng) {
    super();
    const { hiddenSize, numHeads, numKeyValueHeads, headDim, ropeTheta: theta, initializerRange: std } = config;
    this.#sizes = { numHeads, numKeyValueHeads, headDim };
    this.#rope = { headDim, theta };
    this.qProj = Linear.random(hiddenSize, numHeads * headDim, rng.fork("q"), std);
    this.kProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("k"), std);
    this.vProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("v"), std);
    this.oProj = Linear.random(numHeads * headDim, hiddenSize, rng.fork("o"), std);
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const q = sequence.rotate(this.qProj.forward(x), this.#rope);
    const k = sequence.rotate(this.kProj.forward(x), this.#rope);
    return this.oProj.forward(sequence.attend(layer, q, k, this.vProj.forward(x), this.#sizes));
  }
}

class LlamaLayer extends Module {
  readonly inputNorm: RMSNorm;
  readonly attention: LlamaAttention;
  readonly postAttentionNorm: RMSNorm;
  readonly mlp: GatedMLP;

  constructor(config: LlamaConfig, rng: Rng) {
    super();
    const epsilon = config.rmsNormEpsilon;
    this.inputNorm = new RMSNorm(config.hiddenSize, { epsilon });
    this.attention = new LlamaAttention(config, rng);
    this.postAttentionNorm = new RMSNorm(config.hiddenSize, { epsilon });
    this.mlp = new GatedMLP({ ...config, activation: silu }, rng);
  }

  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const attended = add(x, this.attention.forward(this.inputNorm.forward(x), layer, sequence));
    return add(attended, this.mlp.forward(this.postAttentionNorm.forward(attended)));
  }
}

/** A LLaMA language model: embeddings, layers, final norm and an output projection, tied to the embeddings or not. */
export class LlamaForCausalLM extends CausalLM {
  readonly config: LlamaConfig;
  readonly embedTokens: Embedding;
  readonly layers: LlamaLayer[];
  readonly norm: RMSNorm;
  readonly lmHead: LanguageModelHead;

  /** Random weights: normal with the config's initializerRange; norms at one. */
  constructor(config: LlamaConfig, rng: Rng) {
    super();
    const { vocabSize, hiddenSize, numLayers, initializerRange: std } = config;
    this.config = config;
    this.embedTokens = Embedding.random(vocabSize, hiddenSize, rng.fork("embed"), std);
    this.layers = Array.from({ length: numLayers }, (_, i) => new LlamaLayer(config, rng.fork(`layer${i}`)));
    this.norm = new RMSNorm(hiddenSize, { epsilon: config.rmsNormEpsilon });
    this.lmHead = LanguageModelHead.of(config, this.embedTokens, rng);
  }

  protected override forward(ids: Tensor, sequence: Sequence, checkpointing: boolean): Tensor {
    const x = reshape(this.embedTokens.forward(ids), [ids.size, this.config.hiddenSize]);
    return this.norm.forward(runLayers(this.layers, x, sequence, checkpointing));
  }

  protected override get namesOnDisk(): Readonly<Record<string, string>> {
    return HUGGING_FACE_NAMES;
  }
}

/** Our property names where checkpoints say something else. */
const HUGGING_FACE_NAMES: Readonly<Record<string, string>> = {
  embedTokens: "model.embed_tokens",
  layers: "model.layers",
  norm: "model.norm",
  lmHead: "lm_head",
  inputNorm: "input_layernorm",
  postAttentionNorm: "post_attention_layernorm",
  attention: "self_attn",
  qProj: "q_proj",
  kProj: "k_proj",
  vProj: "v_proj",
  oProj: "o_proj",
  gateProj: "gate_proj",
  upProj: "up_proj",
  downProj: "down_proj",
};

/** LLaMA 1 to 3. */
export const LLAMA: Architecture = {
  modelType: "llama",
  describe(json) {
    const config = readLlamaConfig(json);
    return { config, create: (rng) => new LlamaForCausalLM(config, rng) };
  },
};
