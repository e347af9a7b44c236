import { z } from "zod";
import { CheckpointError } from "../base/errors.js";
import type { DataPosition } from "../data/cursor.js";
import type { BaseIdentity } from "../loading/base-identity.js";
import type { PhaseName } from "../relora/plan.js";

/** What a checkpoint says of its run beside the tensors: all that the next step depends on, and nothing of the machine. */
export interface RunState {
  /** Of the last step. */
  readonly phase: PhaseName;
  readonly cycle: number;
  /** Length of the run that the steps were planned for. */
  readonly maxSteps: number;
  /** Trained on up to here. */
  readonly tokens: number;
  /** Updates in a row, up to here, that were skipped. */
  readonly badSteps: number;
  /** Updates that were skipped since the start of the run. */
  readonly skipped: number;
  /** Wall time of training that led here, without what was lost on the way. */
  readonly seconds: number;
  /** Share of it in which earlier checkpoints were written. */
  readonly savingSeconds: number;
  /** The next row to train on. */
  readonly dataPosition: DataPosition;
  /** Of the tokens to train on and those held out. */
  readonly dataSha256: string;
  readonly seed: number;
  /** The checkpoint with the lowest held-out loss; null where none was evaluated. */
  readonly best: LossAtStep | null;
  /** The last evaluation; null where none gave a number. */
  readonly evaluated: LossAtStep | null;
  /** Lowest held-out loss of all evaluations; null where none gave a number. */
  readonly lowestLoss: number | null;
  /** Evaluations in a row, up to here, that said that the run diverges. */
  readonly divergingEvals: number;
  /** What the held-out loss must fall below to be an improvement, by the last one; null before the first evaluation that counts. */
  readonly toBeat: number | null;
  /** Evaluations in a row, up to here, that were none. */
  readonly waited: number;
  /** RUN/base as the adapters know it. */
  readonly base: BaseIdentity;
  /** SHA-256 of each file of the delta log, one for each merged cycle. */
  readonly deltas: readonly string[];
  /** Lines of metrics.jsonl up to here. */
  readonly records: number;
  /** How often each trained tensor was updated since its optimizer state began. */
  readonly optimizerSteps: Readonly<Record<string, number>>;
}

export interface LossAtStep {
  readonly loss: number;
  readonly step: number;
}

const COUNT: z.ZodType<number> = z.int().min(0);
const SHA256: z.ZodType<string> = z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hexadecimal");
const LOSS_AT_STEP: z.ZodType<LossAtStep> = z.object({ loss: z.number(), step: COUNT });

const RUN_STATE: z.ZodType<RunState> = z.object({
  phase: z.enum(["full", "warm-start", "adapter"]),
  cycle: COUNT,
  maxSteps: z.int().min(1),
  tokens: COUNT,
  badSteps: COUNT,
  skipped: COUNT,
  seconds: z.number().min(0),
  savingSeconds: z.number().min(0),
  dataPosition: z.object({ epoch: COUNT, row: COUNT }),
  dataSha256: SHA256,
  seed: COUNT,
  best: LOSS_AT_STEP.nullable(),
  evaluated: LOSS_AT_STEP.nullable(),
  lowestLoss: z.number().nullable(),
  divergingEvals: COUNT,
  toBeat: z.number().nullable(),
  waited: COUNT,
  base: z.object({ sha256: SHA256, quantizer: z.string().nullable() }),
  deltas: z.array(SHA256),
  records: COUNT,
  optimizerSteps: z.record(z.string(), COUNT),
});

/** The state in a checkpoint's state.json. @throws CheckpointError that names every entry that is missing or not as it must be. */
export function parseRunState(value: unknown, where: string): RunState {
  const parsed = RUN_STATE.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new CheckpointError(
    `${where} is not the state of a run that can go on; resume from another checkpoint, or with the version of highrank ` +
      `that wrote it:\n${faults.join("\n")}`,
  );
}
