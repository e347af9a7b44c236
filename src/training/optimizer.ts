import type { Settings } from "../config/settings.js";
import type { Parameter } from "../nn/module.js";
import { AdamW, type AdamWState, type UpdateKernel } from "../optim/adamw.js";
import { partOf } from "./adapters.js";

/** The optimizer's settings. */
export type OptimizerSettings = Pick<Settings, "lr" | "adapterLr" | "weightDecay" | "beta1" | "beta2" | "eps">;

/**
 * AdamW over `parameters` in three groups: weights, norms (no decay) and adapters (a learning rate of their own).
 * @param kernel what computes the updates; default a plain loop.
 * @param known state to go on from, by the same names; what is trained no longer is dropped.
 */
export function createOptimizer(
  parameters: ReadonlyMap<string, Parameter>,
  adapters: ReadonlyMap<string, Parameter>,
  settings: OptimizerSettings,
  known?: ReadonlyMap<string, AdamWState>,
  kernel?: UpdateKernel,
): AdamW {
  const { lr, adapterLr, weightDecay, beta1, beta2, eps } = settings;
  const group = (belongs: (name: string) => boolean): Map<string, Float32Array> =>
    new Map([...parameters].flatMap(([name, { values }]) => (belongs(name) ? [[name, values] as const] : [])));
  const isNorm = (name: string): boolean => !adapters.has(name) && partOf(name) === "norms";
  const groups = [
    { parameters: group((name) => !adapters.has(name) && !isNorm(name)), lr, weightDecay },
    { parameters: group(isNorm), lr, weightDecay: 0 },
    { parameters: group((name) => adapters.has(name)), lr: adapterLr, weightDecay },
  ];
  return new AdamW(groups, { beta1, beta2, eps }, known, kernel);
}
