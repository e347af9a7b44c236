import { Embedding } from "../nn/embedding.js";
import { Module } from "../nn/module.js";
import { RMSNorm } from "../nn/rms-norm.js";
import type { Sequence } from "../nn/sequence.js";
import { add, silu } from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { Attention } from "./attention.js";
import type { Architecture } from "./causal-lm.js";
import { CausalLM, type DecoderLayer, LanguageModelHead, runLayers } from "./causal-lm.js";
import { ConfigReader } from "./config-reader.js";
import { type DecoderConfig, ropeOf } from "./decoder-config.js";
import { GatedMLP } from "./mlp.js";
import { prefixed, type WeightStorage } from "./weight-storage.js";

/** The blocks of a layer, without its norms. */
export interface DecoderBlocks {
  readonly attention: Module & DecoderLayer;
  readonly mlp: Module & { forward(x: Tensor): Tensor };
}

export interface LlamaBlocks extends DecoderBlocks {
  readonly attention: Attention;
  readonly mlp: GatedMLP;
}

/** LLaMA's blocks with the config's variations. */
export function llamaBlocks(config: DecoderConfig, layer: number, rng: Rng): LlamaBlocks {
  const { hiddenSize, numHeads, numKeyValueHeads, headDim, rmsNormEpsilon: epsilon, initializerRange } = config;
  const attention = new Attention(
    {
      hiddenSize,
      sizes: { numHeads, numKeyValueHeads, headDim, window: config.window?.(layer) },
      rope: ropeOf(config),
      bias: config.attentionBias,
      outputBias: config.outputBias,
      headNorm: config.headNorm ? { epsilon } : undefined,
      initializerRange,
    },
    rng,
  );
  return { attention, mlp: new GatedMLP({ ...config, activation: config.activation ?? silu }, rng) };
}

/** A layer with a norm before each block. */
class PreNormLayer<Blocks extends DecoderBlocks> extends Module {
  readonly inputNorm: RMSNorm;
  readonly attention: Blocks["attention"];
  readonly postAttentionNorm: RMSNorm;
  readonly mlp: Blocks["mlp"];

  constructor({ hiddenSize, rmsNormEpsilon: epsilon }: DecoderConfig, { attention, mlp }: Blocks) {
    super();
    this.inputNorm = new RMSNorm(hiddenSize, { epsilon });
    this.attention = attention;
    this.postAttentionNorm = new RMSNorm(hiddenSize, { epsilon });
    this.mlp = mlp;
  }

  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const attended = add(x, this.attention.forward(this.inputNorm.forward(x), layer, sequence));
    return add(attended, this.mlp.forward(this.postAttentionNorm.forward(attended)));
  }
}

/**
 * A language model of LLaMA's structure: embeddings, layers, final norm and an output projection, tied to the
 * embeddings or not.
 */
export class Decoder<Config extends DecoderConfig, Blocks extends DecoderBlocks> extends CausalLM {
  readonly config: Config;
  readonly embedTokens: Embedding;
  readonly layers: PreNormLayer<Blocks>[];
  readonly norm: RMSNorm;
  readonly lmHead: LanguageModelHead;

  /** Random weights: normal with the config's initializerRange; norms at one, biases at zero. */
  constructor(config: Config, rng: Rng, createBlocks: (config: Config, layer: number, rng: Rng) => Blocks) {
    super();
    const { vocabSize, hiddenSize, numLayers, initializerRange: std } = config;
    this.config = config;
    this.embedTokens = Embedding.random(vocabSize, hiddenSize, rng.fork("embed"), std);
    this.layers = Array.from(
      { length: numLayers },
      (_, i) => new PreNormLayer(config, createBlocks(config, i, rng.fork(`layer${i}`))),
    );
    this.norm = new RMSNorm(hiddenSize, { epsilon: config.rmsNormEpsilon });
    this.lmHead = LanguageModelHead.of(config, this.embedTokens, rng);
  }

  protected override forward(ids: Tensor, sequence: Sequence, checkpointing: boolean): Tensor {
    const x = reshape(this.embedTokens.forward(ids), [ids.size, this.config.hiddenSize]);
    return this.norm.forward(runLayers(this.layers, x, sequence, checkpointing));
  }

  protected override get namesOnDisk(): Readonly<Record<string, string>> {
    return DECODER_NAMES;
  }

  override get storage(): WeightStorage {
    return DECODER_STORAGE;
  }
}

/** Names on disk that differ from our property names. */
export const DECODER_NAMES: Readonly<Record<string, string>> = {
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
  qkvProj: "qkv_proj",
  qNorm: "q_norm",
  kNorm: "k_norm",
  gateProj: "gate_proj",
  upProj: "up_proj",
  gateUpProj: "gate_up_proj",
  downProj: "down_proj",
};

const decoderName = prefixed("model", ["embed_tokens", "layers", "norm"], "lm_head");

/** Weight files of older versions hold wavelengths as well. */
export const DECODER_STORAGE: WeightStorage = {
  nameOf: (stored) => (/(^|\.)rotary_emb\.inv_freq$/.test(stored) ? undefined : decoderName(stored)),
  isTransposed: () => false,
};

/** An architecture of LLaMA's structure with its own reader of the config. */
export function decoderArchitecture(
  modelType: string,
  read: (reader: ConfigReader) => DecoderConfig,
  createBlocks: (config: DecoderConfig, layer: number, rng: Rng) => DecoderBlocks = llamaBlocks,
): Architecture {
  return {
    modelType,
    describe(json) {
      const reader = new ConfigReader(json);
      const config = read(reader);
      reader.finish();
      return { config, storage: DECODER_STORAGE, create: (rng) => new Decoder(config, rng, createBlocks) };
    },
  };
}
