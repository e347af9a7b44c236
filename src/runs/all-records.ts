import { exists, joinPath, readText } from "#platform";
import { type MetricsRecord, parseMetrics } from "./metrics.js";

/**
 * All that a run recorded, from its first step on.
 * @param heard what a call heard of it; a rank that does not see the run folder has no more than that.
 * @throws CheckpointError that lists every line of metrics.jsonl that is no record.
 */
export async function allRecords(
  runFolder: string,
  heard: readonly MetricsRecord[],
): Promise<readonly MetricsRecord[]> {
  const file = joinPath(runFolder, "metrics.jsonl");
  return (await exists(file)) ? parseMetrics(await readText(file), file) : heard;
}
