import type { RunData } from "../page-data.js";
import { card, table } from "./elements.js";

/** A table of the settings in which runs differ; nothing for a single run. */
export function settingDifferences(runs: readonly RunData[]): HTMLElement[] {
  if (runs.length < 2) return [];
  const settings = runs.map((run) => new Map(run.settings));
  const names = [...new Set(settings.flatMap((each) => [...each.keys()]))];
  const rows = names
    // Each run has a folder of its own.
    .filter((name) => name !== "out")
    .map((name) => [name, ...settings.map((each) => each.get(name) ?? "–")])
    .filter(([, first, ...others]) => others.some((value) => value !== first));
  const title = "Settings that differ";
  if (rows.length === 0) return [card(title, ["None: the runs have the same settings."])];
  return [card(title, [table(title, ["Setting", ...runs.map(({ name }) => name)], rows)])];
}
