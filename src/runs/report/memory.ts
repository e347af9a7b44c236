import { formatBytes } from "../../base/numbers.js";
import type { EndRecord, StartRecord } from "../metrics.js";
import { type MemoryEstimate, totalBytes } from "../metrics.js";
import { card, escapeHtml } from "./html.js";

const PARTS: readonly (readonly [keyof MemoryEstimate, string])[] = [
  ["program", "Program"],
  ["data", "Data and tokenizer"],
  ["base", "Base weights"],
  ["adapters", "Adapters"],
  ["gradients", "Gradients"],
  ["optimizer", "Optimizer state"],
  ["activations", "Activations"],
];

/** The estimated memory by part, each bar where the one before ends, above the sum and the peak that was measured. */
export function memoryCard({ memory, availableMemoryBytes }: StartRecord, end: EndRecord | undefined): string {
  const total = totalBytes(memory);
  const scale = Math.max(total, end?.peakMemoryBytes ?? 0) || 1;
  const rows: string[] = [];
  let begin = 0;
  for (const [part, name] of PARTS) {
    if (memory[part] > 0) rows.push(row(name, begin, memory[part], scale));
    begin += memory[part];
  }
  rows.push(row("Estimate in all", 0, total, scale, "sum"));
  const isMeasured = end !== undefined && hasPeak(end);
  if (isMeasured) rows.push(row("Measured peak", 0, end.peakMemoryBytes, scale, "measured"));
  const note =
    `The peak of the whole process, as estimated before the first step${isMeasured ? " and as measured" : ""}. ` +
    `${formatBytes(availableMemoryBytes)} were available at the start.`;
  return card("Memory", note, `<table class="bars">${rows.join("")}</table>`);
}

/** False in a browser, which measures none. */
export function hasPeak({ peakMemoryBytes }: EndRecord): boolean {
  return peakMemoryBytes > 0;
}

function row(name: string, begin: number, bytes: number, scale: number, kind = "part"): string {
  const percent = (value: number): string => `${((100 * value) / scale).toFixed(2)}%`;
  const bar = `<span style="margin-left:${percent(begin)};width:${percent(bytes)}"></span>`;
  return (
    `<tr class="${kind}"><th scope="row">${escapeHtml(name)}</th><td>${formatBytes(bytes)}</td>` +
    `<td class="bar" aria-hidden="true">${bar}</td></tr>`
  );
}
