import { conclusion } from "./conclusion.js";
import type { StudySummary } from "./summary.js";
import { costTable, mergeTable, resultTable, seedTable, settingsTable, spectrumTables, type Table } from "./tables.js";

/** The tables and the text of a study in Markdown. */
export function renderStudyMarkdown(summary: StudySummary): string {
  const { title, notes, machines, spectra } = summary;
  const tables = [
    ...[resultTable(summary), costTable(summary), mergeTable(summary), seedTable(summary)],
    ...(spectra === null ? [] : spectrumTables(spectra)),
    settingsTable(summary),
  ];
  const { findings, grounds } = conclusion(summary);
  const parts = [
    `# ${plain(title)}`,
    ...(notes === "" ? [] : [plain(notes)]),
    ...[findings, grounds].filter(({ length }) => length > 0).map((sentences) => plain(sentences.join(" "))),
    ...tables.map(tableText),
    ...(machines.length === 0 ? [] : [`Run on: ${plain(machines.join("; "))}`]),
  ];
  return `${parts.join("\n\n")}\n`;
}

function tableText({ title, note, head, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(plain).join(" | ")} |`;
  const lines = [line(head), `|${head.map((_, i) => (i === 0 ? "---" : "---:")).join("|")}|`, ...rows.map(line)];
  return [`## ${plain(title)}`, ...(note === "" ? [] : [plain(note)]), lines.join("\n")].join("\n\n");
}

/** The text with Markdown's marks escaped. */
function plain(text: string): string {
  return text
    .replaceAll(/\s*\n\s*/g, " ")
    .replace(/\p{Control}/gu, "")
    .replace(/[\\`*_[\]<>|#]/g, "\\$&");
}
