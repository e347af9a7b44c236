import { NumericError } from "../base/errors.js";
import { today } from "../chats/chat-template.js";
import { asAskedOf, type OpenDataset, openDataset } from "../data/dataset.js";
import { type EncodedRecords, encodeRecords } from "../data/encoded-data.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import type { DocumentUnit } from "../data/text-format.js";
import type { Collective } from "../distributed/collective.js";
import { amongRanks } from "../distributed/job.js";
import { machineShare } from "../distributed/machine-share.js";
import { locateData } from "../hub/locate-data.js";
import type { Evaluation } from "../programs/held-out.js";
import { HeldOutLoss } from "../programs/held-out.js";
import { modelTokenizer, type TokenizerSource } from "../tokenizers/model-tokenizer.js";
import { USUAL_LENGTH } from "./options.js";
import { type LoadedTarget, loadTarget, requireLength, type TargetOptions } from "./target.js";

/** Options of {@link evaluateTarget}. */
export interface EvaluationOptions extends TargetOptions {
  /** A file, a folder, or the name of a data set on the hub. */
  readonly data: string;
  /** Columns whose names do not say what they are, as ROLE=COLUMN. Default: none. */
  readonly columns?: readonly string[];
  /** Part of a text that is a document. Default and null: paragraphs of `.txt`, sections of `.md`. */
  readonly document?: DocumentUnit | null;
  readonly batchSize: number;
  /** Tokens of a row of text or of the longest sample. Null for the model's own length, of text 1,024 at most. */
  readonly sequenceLength: number | null;
  /** Score about this many tokens at most, in whole samples or rows, at least one; null for all. */
  readonly maxTokens: number | null;
  /** Score prompts and the turns of all roles too. Default false. */
  readonly trainOnInputs?: boolean;
  /** Day that chat templates are told, as YYYY-MM-DD. Default and null: today. */
  readonly chatDate?: string | null;
  /** File with the template for messages. Default and null: the tokenizer's own. */
  readonly chatTemplate?: string | null;
}

/** The score of a source of data. */
export interface TargetEvaluation extends Evaluation, Pick<LoadedTarget, "weights" | "trainedLength"> {
  /** Tokens of a row of text, on which the loss depends; null for samples. */
  readonly rowLength: number | null;
  /** Samples that were cut, and the tokens left out of them. */
  readonly truncation: { readonly samples: number; readonly tokens: number };
}

/** Tokens whose logits exist at once. */
const LOSS_CHUNK = 256;

/** The processes of an evaluation: those of the job that this one was started in, if it was in one. */
const JOB = { distributed: "auto", mpiTimeout: 1800 } as const;

/**
 * Scores every token of a text but the first, in rows of `sequenceLength`. In other data each sample is scored on its
 * own, in its scored parts. Rows of `input_ids` need no tokenizer and are scored whole. The processes of an MPI job
 * share the rows.
 * @throws ConfigError if the sequence is longer than the model's; DataError; CheckpointError; NumericError if the loss
 * is not finite.
 */
export async function evaluateTarget(target: string, options: EvaluationOptions): Promise<TargetEvaluation> {
  const { data } = options;
  const place = (): string => `before the loss on ${data} was known`;
  return amongRanks({ ...JOB, place }, undefined, (ranks) => evaluateAmong(ranks, target, options));
}

async function evaluateAmong(ranks: Collective, target: string, options: EvaluationOptions): Promise<TargetEvaluation> {
  const { data, maxTokens, device } = options;
  const { threads } = await machineShare(ranks);
  const loaded = await loadTarget(target, options);
  requireLength("sequenceLength", options.sequenceLength ?? null, loaded, target);
  const { model, tokenizer, weights, trainedLength } = loaded;
  const longest = model.config.maxSequenceLength;
  const { source, config } = await locateData(data, options);
  const { columns = [], document = null } = options;
  const dataset = await openDataset(source, { columns, document, config });
  const isText = dataset.kind === "text";
  const sequenceLength = options.sequenceLength ?? (isText ? Math.min(longest, USUAL_LENGTH) : longest);
  const encoded = await encode(dataset, tokenizer, { ...options, sequenceLength });
  encoded.requireVocabulary(model.config.vocabSize);
  const { truncation } = encoded.counts;
  const rows = encoded.evaluationRows();
  const batchSize = Math.min(options.batchSize, Math.max(1, rows.count));
  const limit = maxTokens === null ? {} : { maxTokens };
  const machine = { device, threads: options.threads ?? threads, deterministic: false };
  const shape = { ...rows.shapeOf(batchSize), lossChunk: LOSS_CHUNK, ...machine };
  const heldOut = await HeldOutLoss.compile(model, shape, ranks);
  try {
    const evaluation = await heldOut.run(evaluationBatches(rows, { batchSize, ...limit }));
    if (evaluation.tokens > 0 && !Number.isFinite(evaluation.loss)) {
      throw new NumericError(
        `${target}: the loss on ${data} is ${evaluation.loss}, because the model computes numbers that are not ` +
          "finite; retrain it, or name weights that are whole",
      );
    }
    return { ...evaluation, rowLength: isText ? sequenceLength : null, truncation, weights, trainedLength };
  } finally {
    await heldOut.release();
  }
}

async function encode(
  dataset: OpenDataset,
  source: TokenizerSource,
  {
    sequenceLength,
    trainOnInputs = false,
    chatDate,
    chatTemplate = null,
  }: EvaluationOptions & { readonly sequenceLength: number },
): Promise<EncodedRecords> {
  const isRows = dataset.kind === "token rows";
  const tokenizer = isRows ? undefined : await modelTokenizer(source, chatTemplate);
  const { kind, train } = asAskedOf(dataset, tokenizer);
  const options = {
    sequenceLength,
    packing: "auto" as const,
    trainOnInputs,
    chatDate: chatDate ?? today(),
    truncate: !isRows,
  };
  return encodeRecords(kind, train, tokenizer, options);
}
