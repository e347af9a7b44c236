import { parseJson } from "../base/json.js";
import { sum } from "../base/numbers.js";
import { checkpointFault } from "../formats/faults.js";
import type { QuantizationError } from "../loading/quantizing.js";
import type { MergeReport } from "../relora/merging.js";
import type { PhaseName } from "../relora/plan.js";
import { checkRecord } from "./metrics-schema.js";

/** Estimated peak memory of the process, in bytes, by part. */
export interface MemoryEstimate {
  /** Node.js, ONNX Runtime, the program itself and its compiled graphs. */
  readonly program: number;
  /** Text, tokens and tokenizer. */
  readonly data: number;
  /** Weights of the model without its adapters, quantized or not. */
  readonly base: number;
  /** The adapters, and those of finished cycles, which are kept to rebuild weights. */
  readonly adapters: number;
  /** Gradients, twice: where they are computed and where they are returned. */
  readonly gradients: number;
  readonly optimizer: number;
  /** What the graphs compute on the way; of a merge, the matrices of a layer besides. */
  readonly activations: number;
}

/** The sum of the parts. */
export function totalBytes(estimate: MemoryEstimate): number {
  return sum(Object.values(estimate));
}

/** The first record of a run: what is trained, on what, and for how long. */
export interface StartRecord {
  readonly kind: "start";
  /** Completed optimizer steps when training starts: 0, or those of the checkpoint it resumes from. */
  readonly step: number;
  /** A name to show, such as a preset or a folder. */
  readonly model: string;
  /** Weights of the model without adapters. */
  readonly parameters: number;
  /** Weights that the last phase trains, adapters included. */
  readonly trainableParameters: number;
  /** How the frozen weights are held, such as `nf4 in blocks of 64`; null for float32. */
  readonly quantizer: string | null;
  /** Estimated peak memory of the process, in bytes, by part. */
  readonly memory: MemoryEstimate;
  /** Memory that could be taken when the run began, in bytes. */
  readonly availableMemoryBytes: number;
  /** Execution provider and threads, such as `cpu, 2 threads`. */
  readonly device: string;
  /** A name and a size to show, such as `builtin:wordnet, 3.1M tokens`. */
  readonly data: string;
  readonly maxSteps: number;
  /** What the run will do, in one line, as `describePlan` has it. */
  readonly plan: string;
  /** Where the run's files go. */
  readonly runFolder: string;
}

/** One optimizer step. */
export interface StepRecord {
  readonly kind: "step";
  /** Completed optimizer steps, from 1. */
  readonly step: number;
  /** Tokens trained on since the start of the run. */
  readonly tokens: number;
  /** Mean cross-entropy of the step's tokens, in nats. */
  readonly loss: number;
  readonly learningRate: number;
  /** Global norm of the gradient before clipping. */
  readonly gradNorm: number;
  readonly tokensPerSecond: number;
  /** The merge period that the step belongs to, from 1; 0 while there are no adapters. */
  readonly cycle: number;
  readonly phase: PhaseName;
}

/** One evaluation on the held-out split. */
export interface EvalRecord {
  readonly kind: "eval";
  readonly step: number;
  /** Token-weighted mean cross-entropy, in nats. */
  readonly loss: number;
  readonly perplexity: number;
  /** Scored tokens. */
  readonly tokens: number;
  /** Text that the model wrote at this point. */
  readonly sample: string;
}

/** The frozen weights of the adapted layers were quantized. */
export interface QuantizeRecord extends QuantizationError {
  readonly kind: "quantize";
  readonly step: number;
  /** As in the start record. */
  readonly quantizer: string;
  /** Held-out loss right before and right after; null before where the model was never evaluated in float32. */
  readonly lossBefore: number | null;
  readonly lossAfter: number;
}

/** One merge of the adapters into the weights. */
export interface MergeRecord extends MergeReport {
  readonly kind: "merge";
}

/** The optimizer state of the adapters was reset or pruned. */
export interface ResetRecord {
  readonly kind: "reset";
  readonly step: number;
  /** Share of the moments' entries that are zero afterwards, from 0 to 1. */
  readonly zeroedFraction: number;
}

/** An update that was left out because its numbers were not finite. */
export interface SkipRecord {
  readonly kind: "skip";
  readonly step: number;
  readonly reason: string;
  /** Updates left out in a row up to this one. */
  readonly inARow: number;
  /** Updates left out since the start of the run. */
  readonly skipped: number;
}

/**
 * The last record of a run: `done` at its last step, `early` where the held-out loss fell no more, `stopped` on request, `diverged` for
 * its numbers.
 */
export interface EndRecord {
  readonly kind: "end";
  readonly step: number;
  readonly outcome: "done" | "early" | "stopped" | "diverged";
  /** The step that the finished model is of; null where there is none. */
  readonly modelStep: number | null;
  /** Tokens trained on since the start of the run. */
  readonly tokens: number;
  /** Updates left out since the start of the run. */
  readonly skipped: number;
  /** Wall time of training up to here, over interruptions, without what was lost by them. */
  readonly seconds: number;
  /** Share of it in which checkpoints were written. */
  readonly savingSeconds: number;
  readonly peakMemoryBytes: number;
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

/** The record as one line of `metrics.jsonl`, newline included. */
export function formatMetricsLine(record: MetricsRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/**
 * The records of a `metrics.jsonl`. A last line without its newline that does not parse is a write cut short and is left
 * out. `source` names the file in errors.
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

/** The record, or what is wrong with the line. */
function parseRecord(line: string): MetricsRecord | string {
  try {
    return checkRecord(parseJson(line));
  } catch (error) {
    return `not JSON (${(error as Error).message})`;
  }
}
