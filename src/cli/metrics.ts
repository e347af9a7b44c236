import type { Command } from "commander";
import { folderOf, makeFolder, writeFileAtomic } from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { formatCount, formatDuration, formatLearningRate, formatLoss, formatNumber, sum } from "../base/numbers.js";
import { requireNewFile } from "../loading/output-folder.js";
import { type MetricsRow, metricsCsv } from "../runs/metrics-table.js";
import { recentLoss, recentSteps, recentWords } from "../runs/recent-loss.js";
import type { RunMetrics } from "../verbs/metrics.js";
import type { Context } from "./context.js";
import { warningLines } from "./live-lines.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { tableLines } from "./table.js";
import { styleFor } from "./terminal.js";
import { addVerb } from "./usage.js";
import { printer } from "./written-text.js";

const OPTIONS = {
  csv: { type: "boolean", default: false, help: "Print a row for each step as CSV, in full precision." },
  out: {
    type: "string",
    path: "path",
    unit: "file",
    default: null,
    none: "standard output",
    help: "Write the CSV into this file, which must be new.",
  },
} as const satisfies OptionTable;

const HELP_AFTER = `
--csv prints a header and a row for each step; evaluations stand in the row of
their step. --json prints all records as they are in metrics.jsonl. Without
either, a table of some 20 lines is shown, with the mean loss of the steps of
each, and the mean of the last steps. The run may be under way.`;

/** `highrank metrics RUN` */
export function addMetrics(program: Command, context: Context): void {
  const command = addVerb(program, "metrics", "losses, rates and speed of a run, as a table, CSV or JSON")
    .argument("RUN", "the run folder")
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  command.action(async (runFolder: string) => {
    const { csv, out } = readOptions(command, OPTIONS);
    if (csv && context.json) throw new ConfigError(`${optionName("csv")}: is another form than --json; name one`);
    const { readMetrics } = await import("../verbs/metrics.js");
    const metrics = await readMetrics(runFolder);
    if (out !== null) return writeCsv(metrics, out, context);
    if (csv) return printer(context)(metricsCsv(metrics.table()));
    const { records, warnings } = metrics;
    context.result({ runFolder, records, warnings }, () => summaryLines(metrics, context));
  });
}

async function writeCsv(metrics: RunMetrics, out: string, context: Context): Promise<void> {
  await requireNewFile(out, [metrics.runFolder]);
  await makeFolder(folderOf(out));
  const table = metrics.table();
  await writeFileAtomic(out, metricsCsv(table), { replace: false });
  const { length: rows } = table.rows;
  context.result({ file: out, rows, columns: table.columns }, () => [`${rows} rows: ${out}`]);
}

/** Lines of the table in a terminal. */
const LINES = 20;

function summaryLines(metrics: RunMetrics, { outlet, env }: Context): string[] {
  const { rows } = metrics.table();
  if (rows.length === 0) return ["no step is recorded yet"];
  const lines = Math.min(LINES, rows.length);
  const place = (part: number): number => Math.floor((part * rows.length) / lines);
  const parts = Array.from({ length: lines }, (_, i) => rows.slice(place(i), place(i + 1)));
  const header = ["step", "tokens", "time", "loss", "rate", "gradient", "tok/s", "held out"];
  const style = styleFor(outlet, env);
  return [
    ...tableLines("rrrrrrrr", header, parts.map(summaryCells)),
    ...recentLines(rows),
    ...metrics.warnings.flatMap((warning, i) => [
      ...(i === 0 ? [""] : []),
      ...warningLines(warning, outlet.columns, style),
    ]),
  ];
}

/** The loss that the page of the run shows. */
function recentLines(rows: readonly MetricsRow[]): string[] {
  const losses = numbersOf(rows, "loss");
  const recent = recentLoss(losses.slice(-recentSteps(losses.length)));
  return recent.loss === null ? [] : ["", `training loss ${formatLoss(recent.loss)}, ${recentWords(recent)}`];
}

/** Rows as one line: the mean of their losses, and otherwise the last value. */
function summaryCells(rows: readonly MetricsRow[]): string[] {
  const numbers = (column: string): number[] => numbersOf(rows, column);
  const last = (column: string, format: (value: number) => string): string => {
    const value = numbers(column).at(-1);
    return value === undefined ? "" : format(value);
  };
  const losses = numbers("loss");
  return [
    last("step", String),
    last("tokens", formatCount),
    last("seconds", formatDuration),
    losses.length === 0 ? "" : formatLoss(sum(losses) / losses.length),
    last("learningRate", formatLearningRate),
    last("gradNorm", formatNumber),
    last(numbers("computedPerSecond").length > 0 ? "computedPerSecond" : "tokensPerSecond", formatCount),
    last("evalLoss", formatLoss),
  ];
}

function numbersOf(rows: readonly MetricsRow[], column: string): number[] {
  return rows.map((row) => row[column]).filter((cell): cell is number => typeof cell === "number");
}
