import { cpuCount } from "#platform";
import { loadCorpus } from "../data/corpus.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import { ConfigError } from "../tensor/errors.js";
import type { Evaluation, EvaluationOptions } from "./contracts.js";
import { HeldOutLoss } from "./held-out.js";
import { loadTarget } from "./load-target.js";

/** Tokens whose logits exist at once. */
const LOSS_CHUNK = 256;

/** Rows of a model that allows very long sequences are cut to this length, unless the caller asks for more. */
const USUAL_LENGTH = 1024;

/**
 * Scores every token of a text but the first, in rows of `sequenceLength`.
 * @throws ConfigError if the sequence is longer than the model's; DataError; CheckpointError.
 */
export async function evaluateTarget(target: string, options: EvaluationOptions): Promise<Evaluation> {
  const { data, batchSize, maxTokens, device } = options;
  const { model, tokenizer } = await loadTarget(target, options);
  const longest = model.config.maxSequenceLength;
  const sequenceLength = options.sequenceLength ?? Math.min(longest, USUAL_LENGTH);
  if (sequenceLength > longest) {
    throw new ConfigError(`sequenceLength: must be at most ${longest}, the length of ${target}, got ${sequenceLength}`);
  }
  const { train } = await loadCorpus(data, { validationFraction: 0 });
  const tokens = tokenizer.encodeDocuments(train);
  const batches = evaluationBatches(tokens, { sequenceLength, batchSize, ...(maxTokens !== null && { maxTokens }) });
  const threads = options.threads ?? cpuCount();
  const heldOut = await HeldOutLoss.compile(model, {
    batchSize,
    sequenceLength,
    lossChunk: LOSS_CHUNK,
    device,
    threads,
  });
  try {
    return await heldOut.run(batches);
  } finally {
    await heldOut.release();
  }
}
