import { LIST, OBJECT, requireArguments } from "../base/arguments.js";
import type { MetricsRecord } from "./metrics.js";

/** Groups of parameters with a learning rate of their own, as step records name them. */
const GROUPS = ["weights", "adapters", "adapterOutputs"] as const;

const COLUMNS = [
  ...["step", "phase", "cycle", "tokens", "seconds", "loss", "learningRate"],
  ...GROUPS.map((group) => `learningRate.${group}`),
  ...["gradNorm", "tokensPerSecond", "computedPerSecond"],
  ...["evalLoss", "evalPerplexity", "evalStandardError", "evalTokens"],
] as const;

/** A step of a run, by column; what is not known of it is absent. */
export type MetricsRow = { readonly [column: string]: number | string | undefined };

/** Steps and evaluations as a table: a row for each step, and for each evaluation of no step. */
export interface MetricsTable {
  /** Those that the run has values of, in a fixed order. */
  readonly columns: readonly string[];
  readonly rows: readonly MetricsRow[];
}

/** The table of a run's records; of a step that was recorded twice, the last counts. */
export function metricsTable(records: readonly MetricsRecord[]): MetricsTable {
  const rows = new Map<number, MetricsRow>();
  for (const record of records) {
    const { step } = record;
    if (record.kind === "step") rows.set(step, { ...rows.get(step), ...stepCells(record) });
    else if (record.kind === "eval") {
      const { seconds, loss, perplexity, standardError, tokens } = record;
      const measured = { evalLoss: loss, evalPerplexity: perplexity, evalStandardError: standardError };
      rows.set(step, { step, seconds, ...rows.get(step), ...measured, evalTokens: tokens });
    }
  }
  const sorted = [...rows.values()].sort((a, b) => Number(a.step) - Number(b.step));
  return { columns: COLUMNS.filter((column) => sorted.some((row) => row[column] !== undefined)), rows: sorted };
}

function stepCells(record: Extract<MetricsRecord, { kind: "step" }>): MetricsRow {
  const { step, phase, cycle, tokens, seconds, loss, learningRate, learningRates = {} } = record;
  const { gradNorm, tokensPerSecond, computedPerSecond } = record;
  const rates = GROUPS.map((group) => [`learningRate.${group}`, learningRates[group]] as const);
  return {
    ...{ step, phase, cycle, tokens, seconds, loss, learningRate },
    ...Object.fromEntries(rates),
    ...{ gradNorm, tokensPerSecond, computedPerSecond },
  };
}

/**
 * The table as CSV (RFC 4180): a header, and lines that end in CR LF. Numbers have all their digits; a cell without a
 * value is empty.
 */
export function metricsCsv(table: MetricsTable): string {
  requireArguments("metricsCsv", { table: OBJECT }, { table });
  const { columns, rows } = table;
  requireArguments("metricsCsv", { columns: LIST, rows: LIST }, { columns, rows });
  // Names and cells are numbers and words of our own, so none needs quotes.
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ""))];
  return lines.map((cells) => `${cells.join(",")}\r\n`).join("");
}
