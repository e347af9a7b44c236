import { readHostTensor } from "../files/lazy-tensor.js";
import type { CausalLM } from "../models/causal-lm.js";
import { moduleSlots } from "../nn/module.js";
import { diskParameters } from "./model-source.js";
import type { OpenAdapter } from "./open-adapter.js";
import { applyUpdates } from "./updated-linear.js";

/**
 * A model with an adapter that shares all weights with its base, but for those that the adapter has in full. Neither
 * may be changed afterwards.
 * @param base the model in memory that the adapter was opened for, without adapters.
 */
export async function sharedModel(
  base: CausalLM,
  { source, effect }: Pick<OpenAdapter, "source" | "effect">,
): Promise<CausalLM> {
  const model = source.build();
  const { replaced, updates } = effect;
  const baseSlots = new Map(moduleSlots(base).map(({ path, module }) => [path, module]));
  const own = new Set(
    [...diskParameters(model)].filter(([name]) => replaced.has(name)).map(([, parameter]) => parameter),
  );
  for (const { path, module, replace } of moduleSlots(model)) {
    const isOwn = [...Object.values(module)].some((value) => own.has(value));
    const shared = baseSlots.get(path);
    if (shared !== undefined && moduleSlots(module).length === 0 && !isOwn) replace(shared);
  }
  const baseParameters = diskParameters(base);
  const isShared = new Set(baseParameters.values());
  for (const [name, parameter] of diskParameters(model)) {
    const tensor = replaced.get(name);
    if (tensor !== undefined) parameter.adopt((await readHostTensor(tensor)).data as Float32Array);
    else if (!isShared.has(parameter)) parameter.adopt(baseParameters.get(name)!.read());
  }
  await applyUpdates(model, updates);
  return model;
}
