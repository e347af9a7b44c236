import { adaptersOf } from "../adapters/inject.js";
import type { LazyTerm, LowRankTerm } from "../adapters/low-rank-term.js";
import { type LoraPair, readPair, termOf } from "../formats/peft-tensors.js";
import type { CausalLM } from "../models/causal-lm.js";
import { type Delta, openDelta } from "./delta-log.js";

// Updates by the name of their layer: as adapters hold them, as terms of a sum, and as pairs of tensors in files.

/**
 * A copy of what each adapter has learned since it started.
 * @param directions of a layer's adapter; all where none are named.
 */
export async function learnedTerms(
  model: CausalLM,
  directions?: ReadonlyMap<string, readonly number[]>,
): Promise<Map<string, LowRankTerm>> {
  const terms = new Map<string, LowRankTerm>();
  for (const [name, adapter] of adaptersOf(model)) terms.set(name, await adapter.learned(directions?.get(name)));
  return terms;
}

/** The terms of a logged cycle. */
export function termsOf({ scaling, scalings, layers }: Omit<Delta, "cycle" | "step">): Map<string, LowRankTerm> {
  return new Map([...layers].map(([name, pair]) => [name, termOf(pair, scalings?.get(name) ?? scaling)] as const));
}

/** The scaling of most terms, and of those that have another one. */
export function scalingsOf(terms: ReadonlyMap<string, LowRankTerm>): Pick<Delta, "scaling" | "scalings"> {
  const counts = new Map<number, number>();
  for (const { scaling } of terms.values()) counts.set(scaling, (counts.get(scaling) ?? 0) + 1);
  const [[scaling]] = [...counts].sort(([, a], [, b]) => b - a) as [[number, number]];
  const others = [...terms].flatMap(([name, term]) =>
    term.scaling === scaling ? [] : [[name, term.scaling] as const],
  );
  return { scaling, ...(others.length > 0 && { scalings: new Map(others) }) };
}

/** The terms of a logged cycle, to be read when they are asked for. */
export async function openTerms(runDir: string, cycle: number): Promise<Map<string, LazyTerm>> {
  const { scaling, scalings, layers } = await openDelta(runDir, cycle);
  return new Map(
    [...layers].map(([name, pair]) => {
      const read = async (): Promise<LowRankTerm> => termOf(await readPair(pair), scalings?.get(name) ?? scaling);
      const [[rank, inFeatures], [outFeatures]] = [pair.loraA.shape, pair.loraB.shape] as [[number, number], [number]];
      return [name, { rank, shape: [outFeatures, inFeatures], read }] as const;
    }),
  );
}

/** The factors of each term as tensors, without the scaling. */
export function pairsOf(terms: ReadonlyMap<string, LowRankTerm>): Map<string, LoraPair> {
  return new Map(
    [...terms].map(([name, { rank, loraA, loraB, magnitude }]) => {
      const a = { dtype: "float32", shape: [rank, loraA.length / rank], data: loraA } as const;
      const b = { dtype: "float32", shape: [loraB.length / rank, rank], data: loraB } as const;
      if (magnitude === undefined) return [name, { loraA: a, loraB: b }] as const;
      const lengths = { dtype: "float32", shape: [magnitude.length], data: magnitude } as const;
      return [name, { loraA: a, loraB: b, magnitude: lengths }] as const;
    }),
  );
}
