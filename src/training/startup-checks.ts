import type { AdapterTensor } from "../adapters/inject.js";
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
  /** The trained tensors of the adapters, by parameter name. */
  readonly parts: ReadonlyMap<string, AdapterTensor>;
  /** By parameter name. */
  readonly gradients: ReadonlyMap<string, Gradient>;
  /** Updates of the adapters before this one. */
  readonly before: number;
}

/**
 * Checks by the first two updates that training reaches the adapters; names the parts that it does not reach, or null.
 * A part may be without a gradient only while another part of its adapter is zero and has one, as A is while B is zero.
 * A layer that a zero weight hides from the loss may still be out of reach in the first update, but not all layers.
 */
export function adapterGradientFault({ parts, gradients, before }: AdapterUpdate): string | null {
  if (before > 1) return null;
  const layers = new Set([...parts.values()].map(({ layer }) => layer));
  const has = (name: string): boolean => !isZero(storedEntries(gradients.get(name)!));
  const without: string[] = [];
  for (const layer of layers) {
    const own = [...parts].filter(([, part]) => part.layer === layer);
    const waits = own.some(([name, { parameter }]) => isZero(parameter.values) && has(name));
    const missing = waits ? [] : own.filter(([name]) => !has(name));
    if (missing.length > 0) without.push(`${layer}: ${missing.map(([, { name }]) => name).join(", ")}`);
  }
  const reached = before === 0 && without.length < layers.size;
  if (without.length === 0 || reached) return null;
  const more = without.length > LISTED ? `\n… and ${without.length - LISTED} more` : "";
  return (
    `${without.length} of ${layers.size} adapters get no gradient in their ${before === 0 ? "first" : "second"} ` +
    "update, so they would never learn: their parts are all zero, or nothing that the layer computes reaches the " +
    "loss; check the weights of the model, or leave these layers out of targetModules\n" +
    `${without.slice(0, LISTED).join("\n")}${more}`
  );
}

function isZero(values: Float32Array): boolean {
  return values.every((value) => value === 0);
}
