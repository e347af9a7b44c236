import { adapterParameters, adapterParts } from "../adapters/inject.js";
import type { AdapterRole } from "../adapters/linear-adapter.js";
import type { Settings } from "../config/settings.js";
import { type CausalLM, modelParts } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import { AdamW, type AdamWState } from "../optim/adamw.js";

/** The optimizer's settings. */
export type OptimizerSettings = Pick<
  Settings,
  "lr" | "adapterLr" | "loraPlusRatio" | "weightDecay" | "beta1" | "beta2" | "eps"
>;

/**
 * AdamW over `parameters` of `model` in groups: weights; norms and biases (no decay); and those of the adapters by
 * their roles, with a learning rate of their own.
 * @param known state to go on from, by the same names; what is trained no longer is dropped.
 */
export function createOptimizer(
  model: CausalLM,
  parameters: ReadonlyMap<string, Parameter>,
  settings: OptimizerSettings,
  known?: ReadonlyMap<string, AdamWState>,
): AdamW {
  const { lr, adapterLr, loraPlusRatio, weightDecay, beta1, beta2, eps } = settings;
  const uses = modelParts(model);
  const adapters = new Set(adapterParameters(model).values());
  const roles = new Map([...adapterParts(model).values()].map(({ parameter, role }) => [parameter, role] as const));
  const isExempt = (each: Parameter): boolean => ["norms", "biases"].includes(uses.get(each)!);
  const group = (belongs: (parameter: Parameter) => boolean): Map<string, Float32Array> =>
    new Map([...parameters].flatMap(([name, each]) => (belongs(each) ? [[name, each.values] as const] : [])));
  const ofModel = (exempt: boolean) => group((each) => !adapters.has(each) && isExempt(each) === exempt);
  const ofRole = (role: AdapterRole) => group((each) => roles.get(each) === role);
  const outputs = loraPlusRatio === 1 ? "adapters" : "adapterOutputs";
  const groups = [
    { name: "weights", parameters: ofModel(false), lr, weightDecay },
    { name: "weights", parameters: ofModel(true), lr, weightDecay: 0 },
    { name: "adapters", parameters: ofRole("factor"), lr: adapterLr, weightDecay },
    { name: outputs, parameters: ofRole("output"), lr: adapterLr * loraPlusRatio, weightDecay },
    { name: outputs, parameters: ofRole("length"), lr: adapterLr * loraPlusRatio, weightDecay: 0 },
  ];
  return new AdamW(groups, { beta1, beta2, eps }, known);
}
