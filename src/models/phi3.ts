import { Linear, type LinearLayer } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import type { Rope } from "../nn/rope.js";
import type { AttentionSizes, Sequence } from "../nn/sequence.js";
import { mul, silu } from "../ops/elementwise.js";
import { slice } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Activation } from "./activation.js";
import type { Architecture } from "./causal-lm.js";
import { decoderArchitecture } from "./decoder.js";
import { type DecoderConfig, readDecoder, ropeOf } from "./decoder-config.js";
import { PHI3_SCALING_TYPES } from "./rope-config.js";

/** LLaMA's attention with one projection for queries, keys and values. */
class Phi3Attention extends Module {
  /** All queries, then all keys, then all values. */
  qkvProj: LinearLayer;
  oProj: LinearLayer;

  readonly #sizes: AttentionSizes;
  readonly #rope: Rope;

  constructor(config: DecoderConfig, layer: number, rng: Rng) {
    super();
    const { hiddenSize, numHeads, numKeyValueHeads, headDim, initializerRange: std } = config;
    this.#sizes = { numHeads, numKeyValueHeads, headDim, window: config.window?.(layer) };
    this.#rope = ropeOf(config);
    this.qkvProj = Linear.random(hiddenSize, (numHeads + 2 * numKeyValueHeads) * headDim, rng.fork("qkv"), std);
    this.oProj = Linear.random(numHeads * headDim, hiddenSize, rng.fork("o"), std);
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const { numHeads, numKeyValueHeads, headDim } = this.#sizes;
    const qkv = this.qkvProj.forward(x);
    const [keys, values] = [numHeads * headDim, (numHeads + numKeyValueHeads) * headDim];
    const q = sequence.rotate(slice(qkv, 1, 0, keys), this.#rope);
    const k = sequence.rotate(slice(qkv, 1, keys, values), this.#rope);
    const v = slice(qkv, 1, values, qkv.shape[1]!);
    return this.oProj.forward(sequence.attend(layer, q, k, v, this.#sizes));
  }
}

/** LLaMA's MLP with one projection for gate and up. */
class Phi3MLP extends Module {
  /** The gate, then up. */
  gateUpProj: LinearLayer;
  downProj: LinearLayer;

  readonly #activation: Activation;

  constructor({ hiddenSize, intermediateSize, activation, initializerRange: std }: DecoderConfig, rng: Rng) {
    super();
    this.#activation = activation ?? silu;
    this.gateUpProj = Linear.random(hiddenSize, 2 * intermediateSize, rng.fork("gateUp"), std);
    this.downProj = Linear.random(intermediateSize, hiddenSize, rng.fork("down"), std);
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor): Tensor {
    const both = this.gateUpProj.forward(x);
    const { inFeatures: width } = this.downProj;
    const [gate, up] = [slice(both, 1, 0, width), slice(both, 1, width, 2 * width)];
    return this.downProj.forward(mul(this.#activation(gate), up));
  }
}

/** Phi 3 and 4 (Abdin et al. 2024, arXiv:2404.14219): LLaMA with joined projections, whose heads may turn in part. */
export const PHI3: Architecture = decoderArchitecture(
  "phi3",
  (reader) => {
    for (const key of ["attention_bias", "mlp_bias"]) reader.only(key, false);
    reader.only("layer_types", null);
    const window = reader.has("sliding_window") ? reader.count("sliding_window") : undefined;
    const config = readDecoder(reader, {
      maxSequenceLength: 4096,
      rmsNormEpsilon: 1e-5,
      rope: {
        share: ["partial_rotary_factor", 1],
        originalLength: reader.count("original_max_position_embeddings", 4096),
        types: PHI3_SCALING_TYPES,
      },
    });
    const { hiddenSize, intermediateSize, numHeads, numKeyValueHeads, headDim } = config;
    reader.matrices(hiddenSize, [2 * intermediateSize, (numHeads + 2 * numKeyValueHeads) * headDim]);
    return { ...config, window: () => window };
  },
  (config, layer, rng) => ({ attention: new Phi3Attention(config, layer, rng), mlp: new Phi3MLP(config, rng) }),
);
