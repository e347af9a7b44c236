import { checkpoint } from "../autograd/checkpoint.js";
import { type AttentionShape, causalAttention, causalMask, rotaryAngles } from "../nn/attention.js";
import { type CrossEntropyOptions, linearCrossEntropy } from "../nn/cross-entropy.js";
import { Embedding } from "../nn/embedding.js";
import { applyLinear, Linear, type LinearLayer } from "../nn/linear.js";
import { Module, type Parameter } from "../nn/module.js";
import { RMSNorm } from "../nn/rms-norm.js";
import { add, mul, silu } from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import { rotary } from "../ops/rotary.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { LlamaConfig } from "./llama-config.js";

/** Angles and mask: the same for every layer. */
interface Positions extends AttentionShape {
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly mask: Tensor;
}

class LlamaAttention extends Module {
  qProj: LinearLayer;
  kProj: LinearLayer;
  vProj: LinearLayer;
  oProj: LinearLayer;

  constructor({ hiddenSize, numHeads, numKeyValueHeads, headDim, initializerRange: std }: LlamaConfig, rng: Rng) {
    super();
    this.qProj = Linear.random(hiddenSize, numHeads * headDim, rng.fork("q"), std);
    this.kProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("k"), std);
    this.vProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("v"), std);
    this.oProj = Linear.random(numHeads * headDim, hiddenSize, rng.fork("o"), std);
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor, positions: Positions): Tensor {
    const { batch, time, cos, sin } = positions;
    const rotate = (y: Tensor) => reshape(rotary(reshape(y, [batch, time, y.shape[1]!]), cos, sin), y.shape);
    const q = rotate(this.qProj.forward(x));
    const k = rotate(this.kProj.forward(x));
    return this.oProj.forward(causalAttention(q, k, this.vProj.forward(x), positions.mask, positions));
  }
}

/** SwiGLU: down(silu(gate(x)) · up(x)) (Shazeer 2020, arXiv:2002.05202). */
class LlamaMLP extends Module {
  gateProj: LinearLayer;
  upProj: LinearLayer;
  downProj: LinearLayer;

  constructor({ hiddenSize, intermediateSize, initializerRange: std }: LlamaConfig, rng: Rng) {
    super();
    this.gateProj = Linear.random(hiddenSize, intermediateSize, rng.fork("gate"), std);
    this.upProj = Linear.random(hiddenSize, intermediateSize, rng.fork("up"), std);
    this.downProj = Linear.random(intermediateSize, hiddenSize, rng.fork("down"), std);
  }

  forward(x: Tensor): Tensor {
    return this.downProj.forward(mul(silu(this.gateProj.forward(x)), this.upProj.forward(x)));
  }
}

class LlamaLayer extends Module {
  readonly inputNorm: RMSNorm;
  readonly attention: LlamaAttention;
  readonly postAttentionNorm: RMSNorm;
  readonly mlp: LlamaMLP;

  constructor(config: LlamaConfig, rng: Rng) {
    super();
    const epsilon = config.rmsNormEpsilon;
    this.inputNorm = new RMSNorm(config.hiddenSize, { epsilon });
    this.attention = new LlamaAttention(config, rng);
    this.postAttentionNorm = new RMSNorm(config.hiddenSize, { epsilon });
    this.mlp = new LlamaMLP(config, rng);
  }

  forward(x: Tensor, positions: Positions): Tensor {
    const attended = add(x, this.attention.forward(this.inputNorm.forward(x), positions));
    return add(attended, this.mlp.forward(this.postAttentionNorm.forward(attended)));
  }
}

/**
 * The output projection. Not a linear layer: the chunked loss reads the weight itself, so that an adapter in its place
 * would be passed over in silence.
 */
class LlamaHead extends Module {
  readonly weight: Parameter; // (vocabSize, hidden)

  constructor(weight: Parameter) {
    super();
    this.weight = weight;
  }
}

export interface ForwardOptions {
  /** Recompute each layer's activations in the backward pass instead of keeping them. Default false. */
  readonly checkpointing?: boolean;
}

/** A LLaMA language model: embeddings, layers, final norm and an output projection, tied to the embeddings or not. */
export class LlamaForCausalLM extends Module {
  readonly config: LlamaConfig;
  readonly embedTokens: Embedding;
  readonly layers: LlamaLayer[];
  readonly norm: RMSNorm;
  readonly lmHead: LlamaHead;

  /** Random weights: normal with the config's initializerRange; norms at one. */
  constructor(config: LlamaConfig, rng: Rng) {
    super();
    const { vocabSize, hiddenSize, numLayers, initializerRange: std } = config;
    this.config = config;
    this.embedTokens = Embedding.random(vocabSize, hiddenSize, rng.fork("embed"), std);
    this.layers = Array.from({ length: numLayers }, (_, i) => new LlamaLayer(config, rng.fork(`layer${i}`)));
    this.norm = new RMSNorm(hiddenSize, { epsilon: config.rmsNormEpsilon });
    const { weight } = config.tieWordEmbeddings
      ? this.embedTokens
      : Linear.random(hiddenSize, vocabSize, rng.fork("head"), std);
    this.lmHead = new LlamaHead(weight);
  }

  /** The output projection: (vocabSize, hidden). */
  get headWeight(): Parameter {
    return this.lmHead.weight;
  }

  /** Final hidden states. ids: (batch, time) int32 → (batch · time, hidden). */
  hidden(ids: Tensor, { checkpointing = false }: ForwardOptions = {}): Tensor {
    const positions = this.#positions(ids);
    let x = reshape(this.embedTokens.forward(ids), [ids.size, this.config.hiddenSize]);
    for (const layer of this.layers) {
      const run = (input: Tensor) => layer.forward(input, positions);
      x = checkpointing ? checkpoint(run, x) : run(x);
    }
    return this.norm.forward(x);
  }

  /** Scores of every next token. ids: (batch, time) int32 → (batch · time, vocabSize). */
  logits(ids: Tensor): Tensor {
    return applyLinear(this.hidden(ids), this.headWeight);
  }

  /**
   * scale · Σ −log p(label): a scalar. ids and labels: (batch, time) int32; labels[b, t] is the token after ids[b, t],
   * negative where it is not scored.
   */
  loss(ids: Tensor, labels: Tensor, options: ForwardOptions & CrossEntropyOptions = {}): Tensor {
    return linearCrossEntropy(this.hidden(ids, options), this.headWeight, reshape(labels, [labels.size]), options);
  }

  /** The Hugging Face name of a parameter or module path. */
  override checkpointName(path: string): string {
    return path
      .split(".")
      .map((part) => HUGGING_FACE_NAMES[part] ?? part)
      .join(".");
  }

  #positions(ids: Tensor): Positions {
    const [batch, time] = ids.shape as [number, number];
    const { numHeads, numKeyValueHeads, headDim, ropeTheta } = this.config;
    const shape = { batch, time, numHeads, numKeyValueHeads, headDim };
    return { ...shape, ...rotaryAngles(time, headDim, ropeTheta), mask: causalMask(shape) };
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
