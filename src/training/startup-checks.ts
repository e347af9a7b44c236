import { CoreAdapter } from "../adapters/core-adapter.js";
import type { LoRAAdapter } from "../adapters/lora-adapter.js";
import { type Module, namedParameters } from "../nn/module.js";
import type { AdamW } from "../optim/adamw.js";
import { type Gradient, storedEntries } from "../optim/gradient.js";

/** Names that a message lists at most. */
const LISTED = 8;

/**
 * Compares what is trainable with what the optimizer updates: the same arrays, each once.
 * @throws Error that names the tensors that differ, which is a defect of the library.
 */
export function requireAllOptimized(model: Module, { groups }: Pick<AdamW, "groups">): void {
  const optimized = groups.flatMap(({ parameters }) => [...parameters]);
  const trainable = [...namedParameters(model)].filter(([, parameter]) => parameter.trainable);
  const updated = new Set(optimized.map(([, values]) => values));
  const wanted = new Set(trainable.map(([, { values }]) => values));
  const faults = [
    ...trainable.flatMap(([path, { values }]) => (updated.has(values) ? [] : [`${path} is never updated`])),
    ...optimized.flatMap(([name, values]) => (wanted.has(values) ? [] : [`${name} is not trainable`])),
    ...(updated.size < optimized.length ? ["a tensor is updated twice"] : []),
  ];
  if (faults.length > 0) throw new Error(`the optimizer does not fit the model:\n${faults.join("\n")}`);
}

/** One update of adapters. */
export interface AdapterUpdate {
  /** By the name of their layer. */
  readonly adapters: ReadonlyMap<string, LoRAAdapter>;
  /** By parameter name. */
  readonly gradients: ReadonlyMap<string, Gradient>;
  /** Updates of the adapters before this one. */
  readonly before: number;
}

/**
 * Checks by the first two updates that training reaches the adapters; names the layers that it does not reach, or null.
 * B starts at zero, so that at first only B gets a gradient, and in layers that a zero weight hides from the loss not
 * even B: then some must. In the second update every B must, and every A whose B has moved. A core is like a B
 * without an A.
 */
export function adapterGradientFault({ adapters, gradients, before }: AdapterUpdate): string | null {
  if (before > 1) return null;
  const has = (name: string): boolean => !storedEntries(gradients.get(name)!).every((value) => value === 0);
  const without: string[] = [];
  for (const [name, adapter] of adapters) {
    if (adapter instanceof CoreAdapter) {
      if (!has(`${name}.adapter.core`)) without.push(`${name}: none`);
      continue;
    }
    const { loraB } = adapter;
    const b = has(`${name}.adapter.loraB`);
    const needsA = before === 0 ? !b : loraB.values.some((value) => value !== 0);
    const a = !needsA || has(`${name}.adapter.loraA`);
    if (a && (b || before === 0)) continue;
    without.push(`${name}: ${b ? "A" : a && needsA ? "B" : "neither A nor B"}`);
  }
  const reached = before === 0 && without.length < adapters.size;
  if (without.length === 0 || reached) return null;
  const more = without.length > LISTED ? `\n… and ${without.length - LISTED} more` : "";
  return (
    `${without.length} of ${adapters.size} adapters get no gradient in their ${before === 0 ? "first" : "second"} update, so they ` +
    "would never learn: A and B are both zero, or nothing that the layer computes reaches the loss; " +
    `check the weights of the model, or leave these layers out of targetModules\n${without.slice(0, LISTED).join("\n")}${more}`
  );
}
