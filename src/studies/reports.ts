import { joinPath, writeFileAtomic } from "#platform";
import { renderStudyPage } from "./report-html.js";
import { renderStudyMarkdown } from "./report-markdown.js";
import { readMachine, readRunFiles } from "./run-files.js";
import { readSpectra } from "./spectra.js";
import type { Study } from "./study.js";
import type { RunStatus } from "./study-run.js";
import { type RunEvidence, type StudySummary, summarize } from "./summary.js";

/** In the folder of the study. */
export const REPORT_FILES = ["report.html", "report.md", "summary.json"] as const;

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
