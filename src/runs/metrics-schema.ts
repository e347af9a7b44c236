import { z } from "zod";
import { shortened } from "../base/json.js";
import type {
  EndRecord,
  EvalRecord,
  MergeRecord,
  MetricsRecord,
  QuantizeRecord,
  ResetRecord,
  SkipRecord,
  StartRecord,
  StepRecord,
} from "./metrics.js";

const COUNT: z.ZodType<number> = z.int().min(0);
/** What was computed. JSON has null for numbers that are not finite. */
const MEASURED: z.ZodType<number> = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
/** What may not be known. */
const KNOWN: z.ZodType<number | null> = z.number().nullable();
const TEXT: z.ZodType<string> = z.string();

const START: z.ZodType<StartRecord> = z.looseObject({
  kind: z.literal("start"),
  step: COUNT,
  model: TEXT,
  parameters: COUNT,
  trainableParameters: COUNT,
  quantizer: TEXT.nullable(),
  memory: z.looseObject({
    program: MEASURED,
    data: MEASURED,
    base: MEASURED,
    adapters: MEASURED,
    gradients: MEASURED,
    optimizer: MEASURED,
    activations: MEASURED,
  }),
  availableMemoryBytes: MEASURED,
  device: TEXT,
  data: TEXT,
  maxSteps: COUNT,
  plan: TEXT,
  runFolder: TEXT,
});

const STEP: z.ZodType<StepRecord> = z.looseObject({
  kind: z.literal("step"),
  step: COUNT,
  tokens: COUNT,
  loss: MEASURED,
  learningRate: MEASURED,
  gradNorm: MEASURED,
  tokensPerSecond: MEASURED,
  cycle: COUNT,
  phase: z.enum(["full", "warm-start", "adapter"]),
});

const EVAL: z.ZodType<EvalRecord> = z
  .looseObject({
    kind: z.literal("eval"),
    step: COUNT,
    loss: MEASURED,
    perplexity: KNOWN,
    tokens: COUNT,
    sample: TEXT,
  })
  // A loss that is finite may be too large for its perplexity.
  .transform((record) => ({ ...record, perplexity: record.perplexity ?? Math.exp(record.loss) }));

const QUANTIZE: z.ZodType<QuantizeRecord> = z.looseObject({
  kind: z.literal("quantize"),
  step: COUNT,
  quantizer: TEXT,
  lossBefore: KNOWN,
  lossAfter: MEASURED,
  relativeError: MEASURED,
  bytes: COUNT,
  layers: z.array(z.looseObject({ name: TEXT, relativeError: MEASURED, largestError: MEASURED })),
});

const MERGE: z.ZodType<MergeRecord> = z.looseObject({
  kind: z.literal("merge"),
  step: COUNT,
  cycle: COUNT,
  policy: TEXT.nullable(),
  lossBefore: MEASURED,
  lossAfter: MEASURED,
  deltaNorm: MEASURED,
  recovered: MEASURED,
  codesChanged: KNOWN,
  probeLogitsChange: MEASURED,
  rank: COUNT,
  layers: z.array(
    z.looseObject({ name: TEXT, deltaNorm: MEASURED, recovered: MEASURED, codesChanged: KNOWN, rank: KNOWN }),
  ),
});

const RESET: z.ZodType<ResetRecord> = z.looseObject({
  kind: z.literal("reset"),
  step: COUNT,
  zeroedFraction: MEASURED,
});

const SKIP: z.ZodType<SkipRecord> = z.looseObject({
  kind: z.literal("skip"),
  step: COUNT,
  reason: TEXT,
  inARow: COUNT,
  skipped: COUNT,
});

const END: z.ZodType<EndRecord> = z.looseObject({
  kind: z.literal("end"),
  step: COUNT,
  outcome: z.enum(["done", "early", "stopped", "diverged"]),
  modelStep: COUNT.nullable(),
  tokens: COUNT,
  skipped: COUNT,
  seconds: MEASURED,
  savingSeconds: MEASURED,
  peakMemoryBytes: MEASURED,
});

const SCHEMAS: { readonly [K in MetricsRecord["kind"]]: z.ZodType<MetricsRecord> } = {
  ...{ start: START, step: STEP, eval: EVAL, quantize: QUANTIZE },
  ...{ merge: MERGE, reset: RESET, skip: SKIP, end: END },
};

/** The record that a line of `metrics.jsonl` holds, or what is wrong with it. */
export function checkRecord(value: unknown): MetricsRecord | string {
  const kind = (value as { kind?: unknown } | null)?.kind;
  if (typeof kind !== "string" || !Object.hasOwn(SCHEMAS, kind)) {
    return `must be a JSON object with a "kind" out of ${Object.keys(SCHEMAS).join(", ")}`;
  }
  const parsed = SCHEMAS[kind as MetricsRecord["kind"]].safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  return shortened(`"${kind}": ${faults.join("; ")}`, 200);
}
