import { z } from "zod";
import { COUNT, type Fields, fieldFaults, IF_KNOWN, MEASURED, objectOf, TEXT } from "../base/fields.js";
import { parseJson, shortened } from "../base/json.js";
import { sum } from "../base/numbers.js";
import { checkpointFault } from "../files/faults.js";
import { QUANTIZATION_ERROR } from "../loading/quantization-error.js";
import { FULLNESS, type Fullness } from "../relora/cycle-losses.js";
import { MERGE_REPORT } from "../relora/merge-report.js";
import { PHASE_NAMES } from "../relora/plan.js";
import { HELD_OUT_SAMPLES, type HeldOutSample } from "./held-out-sample.js";

// A record is a table of fields in the order in which they are written.

const MEMORY = {
  /** Node.js, ONNX Runtime, the program itself and its compiled graphs. */
  program: MEASURED,
  /** Text, tokens and tokenizer. */
  data: MEASURED,
  /** Weights of the model without its adapters, quantized or not. */
  base: MEASURED,
  /** The adapters, and those of finished cycles, which are kept to rebuild weights. */
  adapters: MEASURED,
  /** Gradients, twice: where they are computed and where they are returned. */
  gradients: MEASURED,
  optimizer: MEASURED,
  /** Intermediate results of the graphs; in a merge, the matrices of a layer besides. */
  activations: MEASURED,
};

/** Estimated peak memory of the process, in bytes, by part. */
export type MemoryEstimate = Fields<typeof MEMORY>;

/** The sum of the parts. */
export function totalBytes(estimate: MemoryEstimate): number {
  return sum(Object.values(estimate));
}

const text: z.ZodType<string | undefined> = TEXT.optional();

const CUT = {
  /** Training samples that are longer than a row. */
  samples: COUNT,
  /** Tokens that are left out of them. */
  tokens: COUNT,
  /** All training samples. */
  of: COUNT,
};
const cut: z.ZodType<Fields<typeof CUT> | undefined> = objectOf(CUT).optional();

const OUTLINE = {
  /** `fine-tune`, of a model that has learned, or `from scratch`. */
  job: TEXT,
  /** The recipe among the sources of the settings; absent for none, and in runs of earlier versions. */
  preset: text,
  /** The trained weights, in words: `LoRA of rank 16, alpha 32 on all 210 linear layers`. */
  method: TEXT,
  /** The peak learning rate and its course. */
  rate: TEXT,
  /** Rows of one pass, and of one optimizer step. */
  batchSize: COUNT,
  totalBatchSize: COUNT,
  maxSteps: COUNT,
  epochs: MEASURED,
  stepsPerEpoch: MEASURED,
  rowsPerEpoch: COUNT,
  /** Tokens of a row. */
  rowLength: COUNT,
  /** Share of the tokens of all rows that is padding; null for samples one after another, which have none. */
  padding: MEASURED.nullable(),
  /** Absent for text, and in runs of earlier versions. */
  cut,
  /** Null for text. */
  heldOutSamples: IF_KNOWN,
  heldOutTokens: COUNT,
  /** The way in which they were chosen. */
  heldOut: TEXT,
  /** Share of them in an evaluation. */
  evaluated: MEASURED,
  /** When evaluations are made. */
  evaluations: TEXT,
  /** The loss below which the frozen head keeps the adapters; null where that is low, or not known. */
  unreachableLoss: IF_KNOWN,
  /** True if the plan has several phases or merges. */
  hasCycles: z.boolean(),
  /** A prompt for the finished model, such as its data have. Absent in runs of earlier versions. */
  prompt: text,
  /** True if that is the question of a chat. */
  isChat: z.boolean().optional(),
  /** True if the held-out samples are so few that the loss on them is rough. */
  isRough: z.boolean(),
};

/** The course of a run, as it is planned. */
export interface RunOutline extends Omit<Fields<typeof OUTLINE>, "cut" | "preset"> {
  readonly preset?: string | undefined;
  readonly cut?: Fields<typeof CUT> | undefined;
}

/** The job of a run, and its preset if it has one: `from scratch, preset quickstart`. */
export function describeJob({ job, preset }: Pick<RunOutline, "job" | "preset">): string {
  return preset === undefined ? job : `${job}, preset ${preset}`;
}

const outline: z.ZodType<RunOutline | undefined> = objectOf(OUTLINE).optional();

const START = {
  kind: z.literal("start"),
  /** Completed optimizer steps when training starts: 0, or those of the checkpoint it resumes from. */
  step: COUNT,
  /** A name to show, such as a preset or a folder. */
  model: TEXT,
  /** Weights of the model without adapters. */
  parameters: COUNT,
  /** Weights that the last phase trains, adapters included. */
  trainableParameters: COUNT,
  /** The format of the frozen weights, such as `nf4 in blocks of 64`; null for float32. */
  quantizer: TEXT.nullable(),
  /** Estimated peak memory of the process, in bytes, by part. */
  memory: objectOf(MEMORY),
  /** Memory that could be taken when the run began, in bytes. */
  availableMemoryBytes: MEASURED,
  /** Execution provider and threads, such as `cpu, 2 threads`. */
  device: TEXT,
  /** The processes that train together, in words; absent for one. */
  ranks: text,
  /** A name and a size to show, such as `builtin:wordnet, 3.1M tokens`. */
  data: TEXT,
  maxSteps: COUNT,
  /** Absent in runs of earlier versions. */
  outline,
  /** The steps and merges to come, in one line, as `describePlan` has it. */
  plan: TEXT,
  /** Where the run's length was changed: what becomes of the learning rate. */
  change: text,
  /** The folder of the run's files. */
  runFolder: TEXT,
};

/** The first record of a run: what is trained, on what, and for how long. */
export interface StartRecord extends Omit<Fields<typeof START>, "outline" | "change" | "ranks"> {
  readonly outline?: RunOutline | undefined;
  readonly change?: string | undefined;
  readonly ranks?: string | undefined;
}

const measured: z.ZodType<number | undefined> = MEASURED.optional();
const rates: z.ZodType<Readonly<Record<string, number>> | undefined> = z.record(z.string(), MEASURED).optional();

/** Wall time of training up to here, over interruptions, as in the end record. Absent in runs of earlier versions. */
const ELAPSED = { seconds: measured };

const STEP = {
  kind: z.literal("step"),
  /** Completed optimizer steps, from 1. */
  step: COUNT,
  /** Tokens trained on since the start of the run. */
  tokens: COUNT,
  /** Mean cross-entropy of the step's tokens, in nats. */
  loss: MEASURED,
  learningRate: MEASURED,
  /**
   * Where they differ, those of the weights, of the adapters, and of what `loraPlusRatio` applies to, by the names
   * `weights`, `adapters` and `adapterOutputs`. Absent where all are `learningRate`, and in runs of earlier versions.
   */
  learningRates: rates,
  /** Global norm of the gradient before clipping. */
  gradNorm: MEASURED,
  /** Tokens that were scored. */
  tokensPerSecond: MEASURED,
  /** All tokens of the rows, padding included. Absent in runs of earlier versions. */
  computedPerSecond: measured,
  ...ELAPSED,
  /** The merge period that the step belongs to, from 1; 0 while there are no adapters. */
  cycle: COUNT,
  phase: z.enum(PHASE_NAMES),
};

/** One optimizer step. */
export interface StepRecord extends Omit<Fields<typeof STEP>, "computedPerSecond" | "seconds" | "learningRates"> {
  readonly computedPerSecond?: number | undefined;
  readonly seconds?: number | undefined;
  readonly learningRates?: Readonly<Record<string, number>> | undefined;
}

const EVAL = {
  kind: z.literal("eval"),
  step: COUNT,
  /** Token-weighted mean cross-entropy, in nats. */
  loss: MEASURED,
  perplexity: MEASURED,
  /** Scored tokens. */
  tokens: COUNT,
  /** Text that the model wrote at this point. */
  sample: TEXT,
  /**
   * Standard error of the loss, in nats, by the spread of the held-out samples or rows. Absent for fewer than two, and
   * in runs of earlier versions.
   */
  standardError: measured,
  /**
   * What the model writes after prompts of the held-out data: up to three, the same in each evaluation. Absent where
   * none is written, and in runs of earlier versions.
   */
  samples: HELD_OUT_SAMPLES,
  ...ELAPSED,
};

/** One evaluation on the held-out split. */
export interface EvalRecord extends Omit<Fields<typeof EVAL>, "seconds" | "standardError" | "samples"> {
  readonly seconds?: number | undefined;
  readonly standardError?: number | undefined;
  readonly samples?: readonly HeldOutSample[] | undefined;
}

const QUANTIZE = {
  kind: z.literal("quantize"),
  step: COUNT,
  /** As in the start record. */
  quantizer: TEXT,
  /** Held-out loss right before; null where the model was never evaluated in float32. */
  lossBefore: IF_KNOWN,
  /** Held-out loss right after. */
  lossAfter: MEASURED,
  ...QUANTIZATION_ERROR,
};

/** The frozen weights of the adapted layers were quantized. */
export interface QuantizeRecord extends Fields<typeof QUANTIZE> {}

const fullness: z.ZodType<Fullness | undefined> = objectOf(FULLNESS).optional();

const MERGE = {
  kind: z.literal("merge"),
  ...MERGE_REPORT,
  /** The losses that said that the adapters were full; absent where the plan ended the cycle. */
  fullness,
};

/** One merge of the adapters into the weights. */
export interface MergeRecord extends Omit<Fields<typeof MERGE>, "fullness"> {
  readonly fullness?: Fullness | undefined;
}

const RESET = {
  kind: z.literal("reset"),
  step: COUNT,
  /** Share of the moments' entries that are zero afterwards, from 0 to 1. */
  zeroedFraction: MEASURED,
};

/** The optimizer state of the adapters was reset or pruned. */
export interface ResetRecord extends Fields<typeof RESET> {}

const SKIP = {
  kind: z.literal("skip"),
  step: COUNT,
  reason: TEXT,
  /** Updates left out in a row up to this one. */
  inARow: COUNT,
  /** Updates left out since the start of the run. */
  skipped: COUNT,
};

/** An update that was left out because its numbers were not finite. */
export interface SkipRecord extends Fields<typeof SKIP> {}

const PUBLISHED_LOSSES = {
  /** With the trained weights: the quantized base, as the steps saw it, and the adapter. Null where it is unknown. */
  trained: IF_KNOWN,
  /** With the exact weights, which are the model: the base in float32, all cycles and the adapter. Null if unknown. */
  exact: IF_KNOWN,
};

/** Held-out losses of what a run publishes, in nats. On a base that is not quantized, both are one. */
export interface PublishedLosses extends Fields<typeof PUBLISHED_LOSSES> {}

const publishedLosses: z.ZodType<PublishedLosses | undefined> = objectOf(PUBLISHED_LOSSES).optional();

const END = {
  kind: z.literal("end"),
  step: COUNT,
  /** `done` at the last step, `early` where the held-out loss fell no more, `diverged` for numbers that went wrong. */
  outcome: z.enum(["done", "early", "stopped", "diverged"]),
  /** The step that the finished model is of; null where there is none. */
  modelStep: COUNT.nullable(),
  /** Held-out losses of the finished model; absent unless the base is quantized, and where there is none. */
  losses: publishedLosses,
  /** Tokens trained on since the start of the run. */
  tokens: COUNT,
  /** Updates left out since the start of the run. */
  skipped: COUNT,
  /** Wall time of training up to here, over interruptions, without what was lost by them. */
  seconds: MEASURED,
  /** The part of it in which checkpoints were written. */
  savingSeconds: MEASURED,
  peakMemoryBytes: MEASURED,
  /** Bytes that the first rank sent to others in this process; absent for one rank. */
  sentBytes: measured,
};

/** The last record of a run. */
export interface EndRecord extends Omit<Fields<typeof END>, "losses" | "sentBytes"> {
  readonly losses?: PublishedLosses | undefined;
  readonly sentBytes?: number | undefined;
}

/** A line of `metrics.jsonl`, and the message that the training worker posts when the line is written. */
export type MetricsRecord =
  | StartRecord
  | StepRecord
  | EvalRecord
  | QuantizeRecord
  | MergeRecord
  | ResetRecord
  | SkipRecord
  | EndRecord;

const SCHEMAS: { readonly [Kind in MetricsRecord["kind"]]: z.ZodType<MetricsRecord> } = {
  start: objectOf(START),
  step: objectOf(STEP),
  // A loss that is finite may be too large for its perplexity.
  eval: objectOf(EVAL).transform((record) =>
    Number.isNaN(record.perplexity) ? { ...record, perplexity: Math.exp(record.loss) } : record,
  ),
  quantize: objectOf(QUANTIZE),
  merge: objectOf(MERGE),
  reset: objectOf(RESET),
  skip: objectOf(SKIP),
  end: objectOf(END),
};

/** The record as one line of `metrics.jsonl`, newline included. */
export function formatMetricsLine(record: MetricsRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/**
 * The records of a `metrics.jsonl`. A last line without its newline that does not parse is a write cut short and is
 * left out. `source` names the file in errors.
 * @throws CheckpointError that lists every other line that is not a record.
 */
export function parseMetrics(text: string, source = "metrics.jsonl"): MetricsRecord[] {
  const lines = text.split("\n");
  const unfinished = lines.length - 1;
  const records: MetricsRecord[] = [];
  const faults: string[] = [];
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const record = parseRecord(line);
    if (typeof record !== "string") records.push(record);
    else if (index !== unfinished) faults.push(`line ${index + 1}: ${record}`);
  }
  if (faults.length > 0)
    throw checkpointFault(`${source}: not every line is a record of this version of highrank`, faults);
  return records;
}

/** The record of a line, or the line's fault. */
export function parseRecord(line: string): MetricsRecord | string {
  try {
    return checkRecord(parseJson(line));
  } catch (error) {
    return `not JSON (${(error as Error).message})`;
  }
}

function checkRecord(value: unknown): MetricsRecord | string {
  const kind = (value as { kind?: unknown } | null)?.kind;
  if (typeof kind !== "string" || !Object.hasOwn(SCHEMAS, kind)) {
    return `must be a JSON object with a "kind" out of ${Object.keys(SCHEMAS).join(", ")}`;
  }
  const parsed = SCHEMAS[kind as MetricsRecord["kind"]].safeParse(value);
  if (parsed.success) return parsed.data;
  return shortened(`"${kind}": ${fieldFaults(parsed.error).join("; ")}`, 200);
}
