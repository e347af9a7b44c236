import type { LazyTerm, LowRankTerm } from "../adapters/low-rank-term.js";
import { type Delta, openDelta } from "../checkpoints/delta-log.js";
import type { LazyTensor } from "../checkpoints/lazy-tensor.js";
import type { LoraPair } from "../checkpoints/peft.js";
import type { CausalLM } from "../models/causal-lm.js";
import { loraAdapters } from "./adapters.js";

// Updates by the name of their layer: as adapters hold them, as terms of a sum, and as pairs of tensors in files.

/** A copy of what each adapter has learned since it started. */
export function learnedTerms(model: CausalLM): Map<string, LowRankTerm> {
  return new Map([...loraAdapters(model)].map(([name, adapter]) => [name, adapter.learnedTerm()] as const));
}

/** The terms of a logged cycle. */
export function termsOf({ scaling, layers }: Pick<Delta, "scaling" | "layers">): Map<string, LowRankTerm> {
  return new Map(
    [...layers].map(([name, { loraA, loraB }]) => {
      const [a, b] = [loraA.data as Float32Array, loraB.data as Float32Array];
      return [name, { rank: loraA.shape[0]!, scaling, loraA: a, loraB: b }] as const;
    }),
  );
}

/** The terms of a logged cycle, to be read when they are asked for. */
export async function openTerms(runDir: string, cycle: number): Promise<Map<string, LazyTerm>> {
  const { scaling, layers } = await openDelta(runDir, cycle);
  const read = async (tensor: LazyTensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;
  return new Map(
    [...layers].map(([name, { loraA, loraB }]) => {
      const rank = loraA.shape[0]!;
      const readTerm = async () => ({ rank, scaling, loraA: await read(loraA), loraB: await read(loraB) });
      return [name, { rank, read: readTerm }] as const;
    }),
  );
}

/** The factors of each term as tensors, without the scaling. */
export function pairsOf(terms: ReadonlyMap<string, LowRankTerm>): Map<string, LoraPair> {
  return new Map(
    [...terms].map(([name, { rank, loraA, loraB }]) => {
      const a = { dtype: "float32", shape: [rank, loraA.length / rank], data: loraA } as const;
      const b = { dtype: "float32", shape: [loraB.length / rank, rank], data: loraB } as const;
      return [name, { loraA: a, loraB: b }] as const;
    }),
  );
}
