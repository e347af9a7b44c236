export { type Checkpoint, type CheckpointName, listCheckpoints, readCheckpoint } from "./checkpoint.js";
export type { HeldOutSample, ShownMessage } from "./held-out-sample.js";
export {
  type EndRecord,
  type EvalRecord,
  type MergeRecord,
  type MetricsRecord,
  type PublishedLosses,
  parseMetrics,
  type QuantizeRecord,
  type ResetRecord,
  type SkipRecord,
  type StartRecord,
  type StepRecord,
} from "./metrics.js";
export { type MetricsRow, type MetricsTable, metricsCsv, metricsTable } from "./metrics-table.js";
export { runWarnings, type Warning, type WarningKind } from "./warnings.js";
