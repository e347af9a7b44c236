import type { MetricsRecord } from "../metrics.js";
import { runWarnings } from "../warnings.js";
import { RunCourse } from "./run-course.js";
import { runData, sectionsOf } from "./run-data.js";
import { renderRunPage } from "./run-page.js";

/** Contents of a report; `settings` are listed as they are, and `settings.rank` is compared with the rank reached. */
export interface ReportInput {
  readonly title: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly records: readonly MetricsRecord[];
}

/** The page of a run: curves, merges, samples of text and settings. @throws DataError as `renderPage`. */
export function renderReport({ title, settings, records }: ReportInput): Promise<string> {
  const course = new RunCourse(records);
  const state = course.end?.outcome ?? "not finished";
  const run = runData({ id: "run", name: title, title, settings }, course, { state, isRunning: false });
  const warnings = runWarnings(records).map(({ text }) => text);
  return renderRunPage({
    title,
    state,
    runs: [run],
    sections: sectionsOf(course, settings, { warnings }),
    events: null,
  });
}
