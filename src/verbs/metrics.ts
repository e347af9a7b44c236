import { exists, joinPath, readText } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { checkpointPath } from "../files/open-file.js";
import { type MetricsRecord, parseMetrics } from "../runs/metrics.js";
import { type MetricsTable, metricsTable } from "../runs/metrics-table.js";
import { runWarnings, type Warning } from "../runs/warnings.js";
import { type Named, nameOf } from "./model-options.js";

/** All that a run has recorded so far. */
export interface RunMetrics {
  readonly runFolder: string;
  /** The lines of metrics.jsonl. */
  readonly records: readonly MetricsRecord[];
  /** What the numbers say that the run's owner should know. */
  readonly warnings: readonly Warning[];
  /** Steps and evaluations as a table, made when it is asked for. */
  table(): MetricsTable;
}

/**
 * The records of a run, which may be under way.
 * @throws CheckpointError for a folder without a metrics.jsonl, and one that lists every line that is no record.
 */
export async function readMetrics(run: Named): Promise<RunMetrics> {
  const runFolder = nameOf("readMetrics", run);
  if (!(await exists(joinPath(runFolder, "metrics.jsonl")))) {
    throw new CheckpointError(
      `${runFolder} holds no records of a run: metrics.jsonl is missing; name the folder that train wrote`,
    );
  }
  const file = await checkpointPath(runFolder, "metrics.jsonl");
  const records = parseMetrics(await readText(file), file);
  return { runFolder, records, warnings: runWarnings(records), table: () => metricsTable(records) };
}
