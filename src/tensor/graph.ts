import { append } from "../base/lists.js";
import type { Tensor } from "./tensor.js";

/** Every tensor that `outputs` depend on, `outputs` included, in creation order: inputs before their results. */
export function reachable(outputs: readonly Tensor[]): Tensor[] {
  const seen = new Set<Tensor>();
  const pending = [...outputs];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    append(pending, next.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}
