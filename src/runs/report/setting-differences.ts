import type { RunData } from "./page-data.js";

/** Settings in which runs differ. It runs in the page. */
export interface SettingDifferences {
  readonly runs: readonly string[];
  /** The name of a setting, and its value in each of the runs. */
  readonly rows: readonly (readonly string[])[];
}

/** Null unless there are several to compare: runs whose settings cannot be read are left out. */
export function differencesOf(all: readonly Pick<RunData, "name" | "settings">[]): SettingDifferences | null {
  const runs = all.filter(({ settings }) => settings.length > 0);
  if (runs.length < 2) return null;
  const settings = runs.map((run) => new Map(run.settings));
  const names = [...new Set(settings.flatMap((each) => [...each.keys()]))];
  const rows = names
    // Each run has a folder of its own.
    .filter((name) => name !== "out")
    .map((name) => [name, ...settings.map((each) => each.get(name) ?? "–")])
    .filter(([, first, ...others]) => others.some((value) => value !== first));
  return { runs: runs.map(({ name }) => name), rows };
}
