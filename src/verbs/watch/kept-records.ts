import type { MetricsRecord } from "../../runs/metrics.js";

/** Steps at the beginning and at the end that are kept of a long run. */
const FIRST = 1024;
const LAST = 2048;
/** Records at which those between are dropped. */
const MOST = 2 * (FIRST + LAST);

/** Records of a run that its warnings are made of: of a long run its first and last steps, and all that are no steps. */
export class KeptRecords {
  #records: MetricsRecord[] = [];
  /** Records at which the next ones are dropped: those that are no steps stay. */
  #most = MOST;

  get all(): readonly MetricsRecord[] {
    return this.#records;
  }

  add(record: MetricsRecord): void {
    // The largest part, of which no warning speaks.
    this.#records.push(record.kind === "merge" ? { ...record, layers: [] } : record);
    if (this.#records.length <= this.#most) return;
    const last = this.#records.length - LAST;
    this.#records = this.#records.filter(({ kind }, index) => kind !== "step" || index < FIRST || index >= last);
    this.#most = this.#records.length + MOST - FIRST - LAST;
  }
}
