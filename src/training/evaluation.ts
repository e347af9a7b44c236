import { cpuCount } from "#platform";
import { loadCorpus } from "../data/corpus.js";
import { holdsTokenRows } from "../data/describe.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import type { Batch } from "../data/packing.js";
import { loadTokenRows, rowBatches } from "../data/rows.js";
import { Tokenizer } from "../data/tokenizer.js";
import type { CausalLM } from "../models/causal-lm.js";
import { ConfigError } from "../tensor/errors.js";
import type { Evaluation, EvaluationOptions } from "./contracts.js";
import { HeldOutLoss } from "./held-out.js";
import { loadTarget } from "./load-target.js";

/** Tokens whose logits exist at once. */
const LOSS_CHUNK = 256;

/** Rows of a model that allows very long sequences are cut to this length, unless the caller asks for more. */
const USUAL_LENGTH = 1024;

/**
 * Scores every token of a text but the first, in rows of `sequenceLength`; or a `.jsonl` file of `input_ids` row by row, for
 * which no tokenizer is needed. @throws ConfigError if the sequence is longer than the model's; DataError; CheckpointError.
 */
export async function evaluateTarget(target: string, options: EvaluationOptions): Promise<Evaluation> {
  const { data, batchSize, device, threads } = options;
  const { model, folder } = await loadTarget(target, options);
  const longest = model.config.maxSequenceLength;
  if ((options.sequenceLength ?? 0) > longest) {
    throw new ConfigError(
      `sequenceLength: must be at most ${longest}, the length of ${target}, got ${options.sequenceLength}`,
    );
  }
  const { batches, sequenceLength } = (await holdsTokenRows(data))
    ? await batchesOfRows(data, model, options)
    : await batchesOfText(data, folder, options.sequenceLength ?? Math.min(longest, USUAL_LENGTH), options);
  const shape = { batchSize, sequenceLength, lossChunk: LOSS_CHUNK, device, threads: threads ?? cpuCount() };
  const heldOut = await HeldOutLoss.compile(model, shape);
  try {
    return await heldOut.run(batches);
  } finally {
    await heldOut.release();
  }
}

interface Batches {
  readonly batches: Iterable<Batch>;
  readonly sequenceLength: number;
}

async function batchesOfText(
  data: string,
  folder: string,
  sequenceLength: number,
  { batchSize, maxTokens }: EvaluationOptions,
): Promise<Batches> {
  const { train } = await loadCorpus(data, { validationFraction: 0 });
  const tokens = (await Tokenizer.fromFolder(folder)).encodeDocuments(train);
  const limit = maxTokens === null ? {} : { maxTokens };
  return { batches: evaluationBatches(tokens, { sequenceLength, batchSize, ...limit }), sequenceLength };
}

/** In the length of the longest row; one longer than the model or the caller allows is a fault. */
async function batchesOfRows(
  data: string,
  { config }: CausalLM,
  { batchSize, sequenceLength: asked, maxTokens }: EvaluationOptions,
): Promise<Batches> {
  if (maxTokens !== null) throw new ConfigError("maxTokens: is for text; rows of input_ids are all scored");
  const rows = await loadTokenRows(data);
  const longestRow = Math.max(...rows.map(({ inputIds }) => inputIds.length));
  const sequenceLength = Math.min(longestRow, asked ?? config.maxSequenceLength);
  return { batches: rowBatches(rows, { batchSize, sequenceLength, vocabSize: config.vocabSize }), sequenceLength };
}
