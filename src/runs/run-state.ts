import { z } from "zod";
import { CheckpointError } from "../base/errors.js";
import { COUNT, type Fields, fieldFaults, IF_KNOWN, TEXT } from "../base/fields.js";
import type { DataPosition } from "../data/cursor.js";
import type { ReadingRules } from "../data/records.js";
import type { BaseIdentity } from "../loading/base-identity.js";
import type { Quantizer } from "../quant/quantizer.js";
import { CYCLE_LOSSES, type CycleLossesState } from "../relora/cycle-losses.js";
import { PHASE_NAMES, type ReloraConfig, type Stretch } from "../relora/plan.js";

const SHA256: z.ZodType<string> = z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hexadecimal");
const heldOutSha256: z.ZodType<string | undefined> = SHA256.optional();
const SECONDS: z.ZodType<number> = z.number().min(0);

const LOSS_AT_STEP = { loss: z.number(), step: COUNT };

export interface LossAtStep extends Fields<typeof LOSS_AT_STEP> {}

const lossAtStep: z.ZodType<LossAtStep | null> = z.object(LOSS_AT_STEP).nullable();
const dataPosition: z.ZodType<DataPosition> = z.object({ epoch: COUNT, row: COUNT });
const readingRules: z.ZodType<ReadingRules> = z.literal([1, 2, 3, 4, 5]);
const baseIdentity: z.ZodType<BaseIdentity> = z.object({
  sha256: SHA256,
  quantizer: TEXT.nullable(),
  storage: TEXT.optional(),
  gguf: SHA256.optional(),
});
const stretches: z.ZodType<readonly Stretch[]> = z.array(z.object({ until: z.int().min(1), maxSteps: z.int().min(1) }));
const restarts: z.ZodType<readonly number[]> = z.array(z.int().min(1));
const cycleLosses: z.ZodType<CycleLossesState | null> = z.object(CYCLE_LOSSES).nullable();
const checksums: z.ZodType<readonly string[]> = z.array(SHA256);
const lastMerge: z.ZodType<"log" | undefined> = z.literal("log").optional();
const counts: z.ZodType<Readonly<Record<string, number>>> = z.record(z.string(), COUNT);

const RUN_STATE = {
  /** The phase of the last step. */
  phase: z.enum(PHASE_NAMES),
  cycle: COUNT,
  /** Length of the run that the steps were planned for, at last. */
  maxSteps: z.int().min(1),
  /** Lengths of before, by the last step that was done under each; none in runs whose length never changed. */
  stretches: stretches.default([]),
  /** Steps after which adapters restarted because they were full; none where the plan says when they restart. */
  restarts: restarts.default([]),
  /** The losses since the last restart, as far as they say whether the adapters are full; null where none matters. */
  cycleLosses: cycleLosses.default(null),
  /** Tokens trained on up to here. */
  tokens: COUNT,
  /** Updates in a row, up to here, that were skipped. */
  badSteps: COUNT,
  /** Updates that were skipped since the start of the run. */
  skipped: COUNT,
  /** Wall time of training that led here, without what was lost on the way. */
  seconds: SECONDS,
  /** The part of it in which earlier checkpoints were written. */
  savingSeconds: SECONDS,
  /** The next row to train on. */
  dataPosition,
  /** SHA-256 of the tokens to train on and those held out. */
  dataSha256: SHA256,
  /** SHA-256 of the tokens held out alone; absent in runs of earlier versions. */
  heldOutSha256,
  /** Rules by which the files of the data became records; runs without the entry have those of version 1. */
  readingRules: readingRules.default(1),
  seed: COUNT,
  /** The checkpoint with the lowest held-out loss; null where none was evaluated. */
  best: lossAtStep,
  /** The last evaluation; null where none gave a number. */
  evaluated: lossAtStep,
  /** Lowest held-out loss of all evaluations; null where none gave a number. */
  lowestLoss: IF_KNOWN,
  /** Evaluations in a row, up to here, that said that the run diverges. */
  divergingEvals: COUNT,
  /** The loss that the next evaluation must fall below to be an improvement; null before the first one that counts. */
  toBeat: IF_KNOWN,
  /** Evaluations in a row, up to here, that were no improvement. */
  waited: COUNT,
  /** RUN/base as the adapters know it. */
  base: baseIdentity,
  /** SHA-256 of each file of the delta log, one for each merged cycle. */
  deltas: checksums,
  /**
   * `log`: on a quantized base, the last cycle is merged into the delta log alone, so that the last checkpoint holds
   * the trained weights. Absent in runs begun by versions that merged it into the codes as well: they still do.
   */
  lastMerge,
  /** Lines of metrics.jsonl up to here. */
  records: COUNT,
  /** The number of updates of each trained tensor since its optimizer state began. */
  optimizerSteps: counts,
};

/**
 * The state of a run in a checkpoint, beside the tensors: everything that the next step depends on, and nothing of the
 * machine.
 */
export interface RunState extends Omit<Fields<typeof RUN_STATE>, "heldOutSha256"> {
  readonly heldOutSha256?: string | undefined;
}

/** The part of a state that planned the steps up to its checkpoint, beside the settings. */
export function plannedBy({
  maxSteps,
  stretches,
  restarts,
}: RunState): Required<Pick<ReloraConfig, "maxSteps" | "stretches" | "restarts">> {
  return { maxSteps, stretches, restarts };
}

/** True if the last cycle of a run with this state goes to the delta log alone, and the adapters keep it. */
export function logsLastCycle(quantizer: Quantizer | null, { lastMerge }: Pick<RunState, "lastMerge">): boolean {
  return quantizer !== null && lastMerge === "log";
}

const SCHEMA: z.ZodType<RunState> = z.object(RUN_STATE);

/**
 * The state in a checkpoint's state.json.
 * @throws CheckpointError that names every entry that is missing or invalid.
 */
export function parseRunState(value: unknown, where: string): RunState {
  const parsed = SCHEMA.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CheckpointError(
    `${where} is not the state of a run that can go on; resume from another checkpoint, ` +
      `or with the version of highrank that wrote it:\n${fieldFaults(parsed.error).join("\n")}`,
  );
}
