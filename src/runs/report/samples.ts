import type { EvalRecord } from "../metrics.js";
import { escapeHtml } from "./html.js";

/** What the model wrote at its evaluations, the last first; empty where it wrote nothing. */
export function sampleList(evals: readonly EvalRecord[]): string {
  return evals.map(sampleItem).reverse().join("\n");
}

function sampleItem({ step, loss, sample }: EvalRecord): string {
  const when = step === 0 ? "Before training" : `Step ${step}`;
  const held = Number.isFinite(loss) ? `, held-out loss ${loss.toFixed(4)}` : "";
  return `<div class="sample"><h3>${when}${held}</h3><pre>${escapeHtml(sample.trim())}</pre></div>`;
}
