import type { Command } from "commander";
import { baseName, extension, readText } from "#platform";
import type { StudyOptions } from "../studies/run-study.js";
import type { Study } from "../studies/study.js";
import { parseStudy } from "../studies/study-config.js";
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
CONFIG holds the settings that all runs share, the seeds, and the arms with the
settings in which they differ; see docs/studies.md. The same command continues a
study that was stopped and leaves finished runs alone.`;

/** `highrank compare CONFIG` */
export function addCompare(program: Command, context: Context): void {
  const command = addVerb(program, "compare", "compare ways to train: a matrix of runs, one report")
    .argument("<CONFIG>", "the study in YAML or JSON")
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  command.action(async (configPath: string) => {
    const { out, parallel, dryRun } = readOptions(command, OPTIONS);
    const name = baseName(configPath).slice(0, -extension(configPath).length || undefined);
    const study = parseStudy(await readText(configPath), configPath, name);
    const options = { out: out ?? `studies/${name}`, parallel };
    if (dryRun) return showPlan(context, study, options);
    const again = [context.name, "compare", shellWord(configPath)];
    if (out !== null) again.push("--out", shellWord(out));
    if (parallel > 1) again.push("--parallel", String(parallel));
    await compare(context, study, options, again.join(" "));
  });
}

type Placement = Pick<StudyOptions, "out"> & { readonly parallel: number };

async function showPlan(context: Context, study: Study, { out, parallel }: Placement): Promise<void> {
  const { locateStudy, lookAtRuns, studyRuns } = await import("../studies/study-run.js");
  const { planStudy } = await import("../studies/study-plan.js");
  const { planLines } = await import("./study-view.js");
  const located = await locateStudy(study, context.events);
  const plan = planStudy(await lookAtRuns(studyRuns(located, out, parallel)));
  context.result(plan, () => planLines(plan));
}

/** @param again the command that continues the study. */
async function compare(context: Context, study: Study, placement: Placement, again: string): Promise<void> {
  const { startStudy } = await import("../studies/run-study.js");
  const { resultLines, StudyView } = await import("./study-view.js");
  const view = new StudyView(context.terminal, context.env);
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
  const { outcome, folder, summary } = await withInterrupts(stop, handle.done).finally(() => view.clear());
  if (outcome === "stopped") context.exitCode = code;
  context.result({ outcome, folder, summary }, () => [
    ...resultLines(summary, Math.min(100, context.terminal.columns ?? 80)),
    "",
    `report  ${folder}/report.html`,
    `tables  ${folder}/report.md`,
    ...(outcome === "stopped" ? ["", `Next: ${again}`] : []),
  ]);
}
