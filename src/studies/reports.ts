import { z } from "zod";
import { exists, joinPath, readText, writeFileAtomic } from "#platform";
import { HighrankError } from "../base/errors.js";
import { COUNT, TEXT } from "../base/fields.js";
import { renderStudyPage } from "./report-html.js";
import { renderStudyMarkdown } from "./report-markdown.js";
import { readMachine, readRunFiles } from "./run-files.js";
import { readSpectra } from "./spectra.js";
import type { Study } from "./study.js";
import type { RunStatus } from "./study-run.js";
import { type RunEvidence, type StudySummary, summarize } from "./summary.js";

/** By which the folder of a study is known, so that the first file in it. */
const SUMMARY_FILE = "summary.json";

/** In the folder of the study. */
export const REPORT_FILES = [SUMMARY_FILE, "report.html", "report.md"] as const;

const SUMMARY = z.looseObject({
  title: TEXT,
  seeds: z.array(COUNT),
  arms: z.array(z.looseObject({})),
  runs: z.looseObject({ planned: COUNT, ended: COUNT }),
});

/** True if a study has written reports into a folder. */
export async function holdsReports(folder: string): Promise<boolean> {
  const path = joinPath(folder, SUMMARY_FILE);
  if (!(await exists(path))) return false;
  try {
    return SUMMARY.safeParse(JSON.parse(await readText(path))).success;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof HighrankError) return false;
    throw error;
  }
}

/** Writes the reports on the runs so far. */
export async function writeReports(study: Study, statuses: readonly RunStatus[], out: string): Promise<StudySummary> {
  const evidence: RunEvidence[] = [];
  const machines = new Set<string>();
  for (const status of statuses) {
    evidence.push({ ...status, files: await readRunFiles(status) });
    const machine = await readMachine(status);
    if (machine !== null) machines.add(machine);
  }
  const spectra = await readSpectra(study, evidence, out);
  const summary = summarize(study, evidence, { machines: [...machines], spectra });
  const texts: Record<(typeof REPORT_FILES)[number], string> = {
    "report.html": await renderStudyPage(study, evidence, summary),
    "report.md": renderStudyMarkdown(summary),
    "summary.json": `${JSON.stringify(summary, null, 2)}\n`,
  };
  for (const name of REPORT_FILES) await writeFileAtomic(joinPath(out, name), texts[name]);
  return summary;
}
