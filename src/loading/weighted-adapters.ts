import { combineTerms, type WeightedTerm } from "../adapters/low-rank-term.js";
import { ConfigError } from "../base/errors.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { openAdapterOn } from "./open-adapter.js";
import type { PeftEffect } from "./peft-effect.js";
import type { LayerUpdate } from "./updated-linear.js";

/** A PEFT adapter, a folder or of the hub by name, and how much of its update is taken. */
export interface WeightedAdapter {
  readonly adapter: string;
  readonly weight: number;
}

/** The effect of an adapter, and the weight that it is given. */
export interface WeightedEffect {
  /** Name of the adapter, for errors. */
  readonly name: string;
  readonly effect: PeftEffect;
  readonly weight: number;
}

/**
 * Several adapters as one, as PEFT's add_weighted_adapter has it: see `combineTerms`. Each changes the layers that it
 * has.
 * @throws ConfigError for adapters with more than low-rank updates, weights that are no numbers, and with `linear`
 * several ranks.
 */
export function combineEffects(effects: readonly WeightedEffect[], kind: "linear" | "cat"): PeftEffect {
  const terms = new Map<string, WeightedTerm[]>();
  const isPlain = ({ magnitude, bias }: LayerUpdate): boolean => magnitude === undefined && bias === undefined;
  for (const { name, effect, weight } of effects) {
    const { replaced, updates } = effect;
    if (replaced.size > 0 || ![...updates.values()].every(isPlain) || !Number.isFinite(weight)) {
      throw new ConfigError(
        `combine: ${name} must have a finite weight and low-rank updates alone, ` +
          "without DoRA, biases, embeddings or modules in full",
      );
    }
    for (const [layer, term] of updates) terms.set(layer, [...(terms.get(layer) ?? []), { term, weight }]);
  }
  if (terms.size === 0) throw new ConfigError("combine: name at least one adapter");
  const updates = new Map([...terms].map(([layer, each]) => [layer, combineTerms(each, kind)] as const));
  return { replaced: new Map(), updates, unties: false };
}

/**
 * Several adapters on one base: the sum of weight · update of each. One alone, in full, may be of any kind. Null
 * where there are none.
 * @param base the folder of the model.
 * @throws as `openAdapter` and `combineEffects`.
 */
export async function openWeighted(
  adapters: readonly WeightedAdapter[],
  base: string,
  events: DownloadEvents,
): Promise<PeftEffect | null> {
  if (adapters.length === 0) return null;
  const effects: WeightedEffect[] = [];
  for (const { adapter: name, weight } of adapters) {
    effects.push({ name, weight, effect: (await openAdapterOn(base, await modelFolder(name, events), events)).effect });
  }
  const [first] = effects;
  return effects.length === 1 && first!.weight === 1 ? first!.effect : combineEffects(effects, "cat");
}
