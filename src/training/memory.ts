import type { Settings } from "../config/settings.js";
import type { LlamaConfig } from "../models/llama-config.js";

/** Estimated peak memory of training, in bytes, by part. */
export interface MemoryEstimate {
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: number;
}

export interface MemoryInput {
  /** Weights of the model with its adapters. */
  readonly parameters: number;
  /** Weights trained in the phase that trains most. */
  readonly trainable: number;
  readonly config: LlamaConfig;
  readonly settings: Pick<Settings, "batchSize" | "sequenceLength" | "checkpointing" | "lossChunk">;
}

const FLOAT = 4;

/**
 * All in float32: weights, a gradient for each trained one, AdamW's two moments, and what the forward pass keeps for the
 * backward pass. Kept per token and layer are 8 vectors of the hidden size (residuals, norms, q, k, v, attention's output)
 * and 4 of the intermediate size, and per head the scores and their softmax; checkpointing keeps one vector a layer and
 * those of one layer. Of the logits one chunk exists, with its probabilities and one temporary.
 */
export function estimateMemory({ parameters, trainable, config, settings }: MemoryInput): MemoryEstimate {
  const tokens = settings.batchSize * settings.sequenceLength;
  const { hiddenSize, intermediateSize, numHeads, numLayers, vocabSize } = config;
  const layer = tokens * (8 * hiddenSize + 4 * intermediateSize + 2 * numHeads * settings.sequenceLength);
  const layers = settings.checkpointing ? layer + numLayers * tokens * hiddenSize : numLayers * layer;
  const logits = 3 * Math.min(tokens, settings.lossChunk) * vocabSize;
  return {
    weights: FLOAT * parameters,
    gradients: FLOAT * trainable,
    optimizer: 2 * FLOAT * trainable,
    activations: FLOAT * (layers + logits),
  };
}

export function totalBytes({ weights, gradients, optimizer, activations }: MemoryEstimate): number {
  return weights + gradients + optimizer + activations;
}
