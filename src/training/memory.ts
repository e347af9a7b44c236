import type { Settings } from "../config/settings.js";
import type { LlamaConfig } from "../models/llama-config.js";
import type { RunShape } from "./run-shape.js";

/** Estimated peak memory of the process, in bytes, by part. */
export interface MemoryEstimate {
  /** Node.js, ONNX Runtime and the program itself. */
  readonly program: number;
  /** Text, tokens and tokenizer. */
  readonly data: number;
  /** Weights of the model without its adapters, quantized or not. */
  readonly base: number;
  readonly adapters: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: number;
}

type MemorySettings = Pick<Settings, "batchSize" | "sequenceLength" | "checkpointing" | "lossChunk">;

const FLOAT = 4;

/** The estimate of the phase of a run that needs most. */
export function estimateMemory(
  phases: readonly RunShape[],
  config: LlamaConfig,
  settings: MemorySettings,
): MemoryEstimate {
  const estimates = phases.map((phase) => estimatePhase(phase, config, settings));
  return estimates.reduce((largest, each) => (totalBytes(each) > totalBytes(largest) ? each : largest));
}

/**
 * Weights as they are held, a float32 gradient for each trained one, AdamW's two moments, and what the forward pass keeps for
 * the backward pass. Kept per token and layer are 8 vectors of the hidden size (residuals, norms, q, k, v, attention's output)
 * and 4 of the intermediate size, and per head the scores and their softmax; checkpointing keeps one vector a layer and
 * those of one layer. Of the logits one chunk exists, with its probabilities and one temporary.
 */
function estimatePhase(shape: RunShape, config: LlamaConfig, settings: MemorySettings): MemoryEstimate {
  const tokens = settings.batchSize * settings.sequenceLength;
  const { hiddenSize, intermediateSize, numHeads, numLayers, vocabSize } = config;
  const layer = tokens * (8 * hiddenSize + 4 * intermediateSize + 2 * numHeads * settings.sequenceLength);
  const layers = settings.checkpointing ? layer + numLayers * tokens * hiddenSize : numLayers * layer;
  const logits = 3 * Math.min(tokens, settings.lossChunk) * vocabSize;
  return {
    program: 0,
    data: 0,
    base: shape.baseBytes,
    adapters: FLOAT * shape.adapterParameters,
    gradients: FLOAT * shape.trainableParameters,
    optimizer: 2 * FLOAT * shape.trainableParameters,
    activations: FLOAT * (layers + logits),
  };
}

/** The sum of the parts. */
export function totalBytes(estimate: MemoryEstimate): number {
  return Object.values(estimate).reduce((sum, part) => sum + part, 0);
}
