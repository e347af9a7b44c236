import type { Parameter } from "../nn/module.js";
import type { AdamW } from "../optim/adamw.js";
import { globalNorm } from "../optim/clip.js";

/**
 * The first tensor, in words, that is not finite: of what is trained, and of what the optimizer remembers; null where
 * all are.
 */
export function nonFiniteTensor(
  parameters: ReadonlyMap<string, Pick<Parameter, "values">>,
  { state }: Pick<AdamW, "state">,
): string | null {
  for (const [name, { values }] of parameters) {
    if (!allFinite(values)) return name;
    const moments = state.get(name);
    if (moments === undefined) continue;
    if (!allFinite(moments.expAvg)) return `the first moment of ${name}`;
    if (!allFinite(moments.expAvgSq)) return `the second moment of ${name}`;
  }
  return null;
}

/** Squares of float32 numbers do not overflow the norm's float64. */
function allFinite(values: Float32Array): boolean {
  return Number.isFinite(globalNorm([values]));
}
