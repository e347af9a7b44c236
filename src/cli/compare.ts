import { type Command, Option } from "commander";
import { baseName, extension, readText } from "#platform";
import { formatDuration } from "../base/numbers.js";
import type { StudyOptions } from "../studies/run-study.js";
import type { AskedStudy } from "../studies/study.js";
import { parseStudy } from "../studies/study-config.js";
import type { StudySummary } from "../studies/summary.js";
import { edgeRemark, parseSweeps, type Sweep } from "../studies/sweep.js";
import type { Context } from "./context.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { withInterrupts } from "./interrupts.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { shellWord } from "./shell-word.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  out: {
    type: "string",
    path: "path",
    default: null,
    none: "studies/ and the name of CONFIG",
    help: "Folder of the study.",
  },
  parallel: {
    type: "integer",
    default: 1,
    min: 1,
    unit: "runs",
    help: "Runs at a time, each in its own process with its share of the cores.",
  },
  dryRun: { type: "boolean", default: false, help: "Print the matrix and its progress; train nothing." },
} as const satisfies OptionTable;

const HELP_AFTER = `
RUN RUN ...: run folders, or the folder of a study for all its runs. They are
put side by side: losses, settings that differ, and whether the losses compare.
Nothing is trained.
CONFIG holds the settings that all runs share, the seeds, and the arms with the
settings in which they differ; see docs/studies.md. The same command continues a
study that was stopped and leaves finished runs alone.`;

/** `highrank compare RUN RUN ...` and `highrank compare CONFIG` */
export function addCompare(program: Command, context: Context): void {
  const command = addVerb(program, "compare", "compare runs, or ways to train: a matrix of runs, one report")
    .argument("<RUN|CONFIG...>", "two or more run folders; or a study in YAML or JSON, to be trained")
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  addSweepOption(command);
  command.action(async (named: readonly string[]) => {
    const { out, parallel, dryRun } = readOptions(command, OPTIONS);
    const { compareRuns, holdsRuns } = await import("../studies/compare-runs.js");
    const [configPath] = named as [string];
    if (named.length > 1 || (await holdsRuns(configPath))) {
      const { comparisonLines } = await import("./compare-runs.js");
      const comparison = await compareRuns(named);
      context.result(comparison, () => comparisonLines(comparison));
      return;
    }
    const name = baseName(configPath).slice(0, -extension(configPath).length || undefined);
    const sweeps = parseSweeps(sweptBy(command));
    const study = parseStudy(await readText(configPath), configPath, name, sweeps);
    const folder = sweeps.length === 0 ? name : `${name}-sweep-${sweeps.map(({ key }) => key).join("-")}`;
    await runStudy(context, command, study, { out: out ?? `studies/${folder}`, parallel, dryRun, sweeps });
  });
}

type Placement = Pick<StudyOptions, "out"> & { readonly parallel: number };

/** A study that a command asks for. */
export interface StudyRequest extends Placement {
  readonly dryRun: boolean;
  /** The settings that it varies; empty for arms of other kinds. */
  readonly sweeps: readonly Sweep[];
}

/** Adds `--sweep`, which may be given several times for a grid. */
export function addSweepOption(command: Command): void {
  const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];
  const help = "Train with each, as lr=1e-4,2e-4; several: a grid.";
  command.addOption(new Option("--sweep <setting=a,b,...>", help).argParser(collect).default([], "none"));
}

/** The sweeps of a command line, as they were typed. */
export function sweptBy(command: Command): readonly string[] {
  return command.opts().sweep;
}

/** Trains a study, or with `dryRun` shows what is to be done. */
export async function runStudy(
  context: Context,
  command: Command,
  study: AskedStudy,
  { dryRun, ...request }: StudyRequest,
): Promise<void> {
  if (dryRun) return showPlan(context, study, request);
  const typed = (command.parent as Command & { readonly rawArgs: readonly string[] }).rawArgs;
  await compare(context, study, request, [context.name, ...typed.map(shellWord)].join(" "));
}

async function showPlan(context: Context, study: AskedStudy, { out, parallel }: Placement): Promise<void> {
  const { locateStudy, lookAtRuns, studyRuns } = await import("../studies/study-run.js");
  const { planStudy } = await import("../studies/study-plan.js");
  const { secondsLeft } = await import("../studies/estimate.js");
  const { planLines } = await import("./study-view.js");
  const located = await locateStudy(study, context.events);
  const statuses = await lookAtRuns(studyRuns(located, out, parallel));
  const plan = planStudy(statuses);
  const seconds = plan.left === 0 ? 0 : await secondsLeft(statuses, parallel);
  const { low, high } = study.reference;
  context.result({ ...plan, reference: study.reference, secondsLeft: seconds }, () => [
    ...planLines(plan),
    `reference: ${low}, which the others are measured against${high === null ? "" : `; the gap is that to ${high}`}`,
    ...(plan.left === 0 ? [] : [`about ${formatDuration(seconds)} on this machine`]),
  ]);
}

/** @param again the command that continues the study. */
async function compare(
  context: Context,
  study: AskedStudy,
  { sweeps, ...placement }: Omit<StudyRequest, "dryRun">,
  again: string,
): Promise<void> {
  const { startStudy } = await import("../studies/run-study.js");
  const { resultLines, StudyView } = await import("./study-view.js");
  const view = new StudyView(context.outlet, context.env);
  let begun = false;
  const handle = startStudy(study, {
    ...placement,
    onBegin: (statuses) => {
      begun = true;
      view.begin(study.title, placement.out, statuses);
    },
    onRun: (run, step) => view.run(run, step),
    onRecord: (run, record) => view.record(run, record),
    onEnd: (status) => view.end(status),
    onNotice: (text) => view.note(text),
    onDownload: context.downloads.onDownload,
  });
  let code: ExitCode = EXIT.interrupted;
  const stop = (ofSignal: ExitCode): "wait" | "quit" => {
    if (!begun) return "quit"; // Nothing has been written yet.
    code = ofSignal;
    view.note("Stopping and saving after this step; interrupt again to quit at once.");
    handle.stop();
    return "wait";
  };
  const { outcome, folder, summary } = await context
    .goOn(withInterrupts(stop, handle.done))
    .finally(() => view.clear());
  if (outcome === "stopped") context.exitCode = code;
  context.result({ outcome, folder, summary }, () => [
    ...resultLines(summary, Math.min(100, context.outlet.columns)),
    ...bestLines(summary, folder, sweeps),
    "",
    `report  ${folder}/report.html`,
    `tables  ${folder}/report.md`,
    ...(outcome === "stopped" ? ["", `Next: ${again}`] : []),
  ]);
}

/** The best arm, the folder of its first run, and whether better values may lie beyond. */
function bestLines({ best, seeds }: StudySummary, folder: string, sweeps: readonly Sweep[]): string[] {
  if (best === null) return [];
  const run = `${folder}/runs/${best.arm}/seed-${seeds[0]}`;
  const remark = edgeRemark(sweeps, best.arm);
  return [
    "",
    `best    ${best.arm}, held-out loss ${best.loss.toFixed(4)}: ${run}`,
    ...(remark === null ? [] : [`        ${remark}`]),
  ];
}
