import { adapterParameters } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import { type CausalLM, modelParts } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import { AdamW, type AdamWState, type UpdateKernel } from "../optim/adamw.js";

/** The optimizer's settings. */
export type OptimizerSettings = Pick<
  Settings,
  "lr" | "adapterLr" | "loraPlusRatio" | "weightDecay" | "beta1" | "beta2" | "eps"
>;

/**
 * AdamW over `parameters` of `model` in groups: weights; norms and biases (no decay); A and cores of the adapters,
 * with a learning rate of their own; B with another one (LoRA+, Hayou et al. 2024, arXiv:2402.12354); and DoRA's
 * magnitudes with that and no decay, as PEFT has it for vectors.
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
  const { lr, adapterLr, loraPlusRatio, weightDecay, beta1, beta2, eps } = settings;
  const parts = modelParts(model);
  const adapters = new Set(adapterParameters(model).values());
  const named = (part: string): Set<Parameter> =>
    new Set([...adapterParameters(model)].flatMap(([name, each]) => (name.endsWith(part) ? [each] : [])));
  const [factorsB, magnitudes] = [named(".loraB"), named(".magnitude")];
  const isFirst = (each: Parameter): boolean => adapters.has(each) && !factorsB.has(each) && !magnitudes.has(each);
  const isExempt = (parameter: Parameter): boolean => ["norms", "biases"].includes(parts.get(parameter)!);
  const group = (belongs: (parameter: Parameter) => boolean): Map<string, Float32Array> =>
    new Map([...parameters].flatMap(([name, each]) => (belongs(each) ? [[name, each.values] as const] : [])));
  const groups = [
    { parameters: group((each) => !adapters.has(each) && !isExempt(each)), lr, weightDecay },
    { parameters: group(isExempt), lr, weightDecay: 0 },
    { parameters: group(isFirst), lr: adapterLr, weightDecay },
    { parameters: group((each) => factorsB.has(each)), lr: adapterLr * loraPlusRatio, weightDecay },
    { parameters: group((each) => magnitudes.has(each)), lr: adapterLr * loraPlusRatio, weightDecay: 0 },
  ];
  return new AdamW(groups, { beta1, beta2, eps }, known, kernel);
}
