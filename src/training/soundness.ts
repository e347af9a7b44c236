import type { Parameter } from "../nn/module.js";
import type { AdamW } from "../optim/adamw.js";
import { globalNorm } from "../optim/clip.js";
import type { CompiledPhase } from "../relora/compiled-phase.js";

/** The fault that keeps the state of a phase from being one to go on from, in words; null where there is none. */
export async function faultOf(phase: CompiledPhase): Promise<string | null> {
  const tensor = nonFiniteTensor(phase.trained, phase.optimizer);
  if (tensor !== null) return `${tensor} is no longer finite`;
  const loss = await phase.glanceAtLoss();
  return Number.isFinite(loss) ? null : `the held-out loss is ${loss}`;
}

/** The first tensor, in words, that is not finite, of what is trained and of its moments; null where all are. */
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
