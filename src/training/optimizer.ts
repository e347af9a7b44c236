import type { Settings } from "../config/settings.js";
import { type CausalLM, modelParts } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import { AdamW, type AdamWState, type UpdateKernel } from "../optim/adamw.js";
import { adapterParameters } from "./adapters.js";

/** The optimizer's settings. */
export type OptimizerSettings = Pick<Settings, "lr" | "adapterLr" | "weightDecay" | "beta1" | "beta2" | "eps">;

/**
 * AdamW over `parameters` of `model` in three groups: weights, norms and biases (no decay), and adapters (a learning rate of their own).
 * @param kernel what computes the updates; default a plain loop.
 * @param known state to go on from, by the same names; what is trained no longer is dropped.
 */
export function createOptimizer(
  model: CausalLM,
  parameters: ReadonlyMap<string, Parameter>,
  settings: OptimizerSettings,
  known?: ReadonlyMap<string, AdamWState>,
  kernel?: UpdateKernel,
): AdamW {
  const { lr, adapterLr, weightDecay, beta1, beta2, eps } = settings;
  const parts = modelParts(model);
  const adapters = new Set(adapterParameters(model).values());
  const isExempt = (parameter: Parameter): boolean => ["norms", "biases"].includes(parts.get(parameter)!);
  const group = (belongs: (parameter: Parameter) => boolean): Map<string, Float32Array> =>
    new Map([...parameters].flatMap(([name, each]) => (belongs(each) ? [[name, each.values] as const] : [])));
  const groups = [
    { parameters: group((each) => !adapters.has(each) && !isExempt(each)), lr, weightDecay },
    { parameters: group(isExempt), lr, weightDecay: 0 },
    { parameters: group((each) => adapters.has(each)), lr: adapterLr, weightDecay },
  ];
  return new AdamW(groups, { beta1, beta2, eps }, known, kernel);
}
