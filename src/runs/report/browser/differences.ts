import type { RunData } from "../page-data.js";
import { differencesOf } from "../setting-differences.js";
import { card, table } from "./elements.js";

/** A table of the settings in which runs differ; nothing for a single run. */
export function settingDifferences(runs: readonly RunData[]): HTMLElement[] {
  const found = differencesOf(runs);
  if (found === null) return [];
  const title = "Settings that differ";
  if (found.rows.length === 0) return [card(title, ["None: the runs have the same settings."])];
  return [card(title, [table(title, ["Setting", ...found.runs], found.rows)])];
}
