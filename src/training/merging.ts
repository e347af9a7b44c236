// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { mergeAdapters } from "../adapters/inject.js";
import type { LoRAAdapter } from "../adapters/lora-adapter.js";
import { type LowRankTerm, singularValues } from "../adapters/spectrum.js";
import type { Delta } from "../checkpoints/delta-log.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import type { HostTensor } from "../tensor/dtype.js";
import type { Rng } from "../tensor/random.js";
import { loraAdapters } from "./adapters.js";
import type { MergedLayer, MergeRecord } from "./metrics.js";
import { largestChange, type Probe } from "./probe.js";

/** Singular values above it count towards the rank of an update, as in the ReLoRA paper (arXiv:2307.05695, section 4). */
export const RANK_THRESHOLD = 0.1;

/** Ranks summed over the cycles beyond which only some layers are analysed: singular values cost the cube of it. */
const LARGEST_FULL_ANALYSIS = 256;

/** What merging needs of a run. */
export interface MergeContext {
  readonly step: number;
  readonly cycle: number;
  /** Draws the new adapters. */
  readonly rng: Rng;
  /** Makes the cycle durable before the weights change. */
  readonly log: (delta: Delta) => Promise<void>;
}

/** Ends cycles: logs them, merges their adapters into the weights, and measures what that did. */
export class Merger {
  readonly #model: LlamaForCausalLM;
  readonly #probe: Probe;
  /** By layer, the terms of all cycles so far. */
  readonly #terms: Map<string, LowRankTerm[]> = new Map();

  constructor(model: LlamaForCausalLM, probe: Probe) {
    this.#model = model;
    this.#probe = probe;
  }

  /**
   * Merges every adapter and starts it anew. The record's layers and its rank are those of every adapted layer; once the
   * ranks of the cycles add up to more than 256, of one layer of each kind, from the middle of the model.
   */
  async merge({ step, cycle, rng, log }: MergeContext): Promise<MergeRecord> {
    const adapters = loraAdapters(this.#model);
    const terms = new Map([...adapters].map(([name, adapter]) => [name, termOf(adapter)] as const));
    const before = await this.#probe.run();
    await log(deltaOf(adapters, terms, step, cycle));
    await mergeAdapters(this.#model, rng);
    const after = await this.#probe.run();
    const norms = new Map([...terms].map(([name, term]) => [name, frobeniusNorm(term, adapters.get(name)!)] as const));
    for (const [name, term] of terms) this.#terms.set(name, [...(this.#terms.get(name) ?? []), term]);
    const layers = this.#analysed().map((name): MergedLayer => {
      const { inFeatures, outFeatures } = adapters.get(name)!;
      const values = singularValues(this.#terms.get(name)!, outFeatures, inFeatures);
      return { name, deltaNorm: norms.get(name)!, rank: values.filter((value) => value > RANK_THRESHOLD).length };
    });
    return {
      kind: "merge",
      step,
      cycle,
      lossBefore: before.loss,
      lossAfter: after.loss,
      deltaNorm: Math.hypot(...norms.values()),
      probeLogitsChange: largestChange(before, after),
      rank: layers.reduce((sum, { rank }) => sum + rank, 0),
      layers,
    };
  }

  #analysed(): string[] {
    const names = [...this.#terms.keys()];
    const summed = this.#terms.get(names[0]!)!.length * loraAdapters(this.#model).get(names[0]!)!.rank;
    if (summed <= LARGEST_FULL_ANALYSIS) return names;
    const kindOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
    return [...new Set(names.map(kindOf))].map((kind) => {
      const ofKind = names.filter((name) => kindOf(name) === kind);
      return ofKind[Math.floor(ofKind.length / 2)]!;
    });
  }
}

/** A copy of the adapter's factors. */
function termOf({ scaling, loraA, loraB }: LoRAAdapter): LowRankTerm {
  return { scaling, loraA: loraA.values.slice(), loraB: loraB.values.slice() };
}

function deltaOf(
  adapters: ReadonlyMap<string, LoRAAdapter>,
  terms: ReadonlyMap<string, LowRankTerm>,
  step: number,
  cycle: number,
): Delta {
  const layers = new Map(
    [...adapters].map(([name, { loraA, loraB }]) => {
      const term = terms.get(name)!;
      const pair = { loraA: host(term.loraA, loraA.shape), loraB: host(term.loraB, loraB.shape) };
      return [name, pair] as const;
    }),
  );
  return { cycle, step, scaling: [...adapters.values()][0]!.scaling, layers };
}

function host(data: Float32Array, shape: readonly number[]): HostTensor {
  return { dtype: "float32", shape, data };
}

/** ‖scaling · B · A‖ from the rank × rank Gram matrices: ‖BA‖² = Σ (BᵀB) ∘ (AAᵀ). */
function frobeniusNorm({ scaling, loraA, loraB }: LowRankTerm, { rank, inFeatures, outFeatures }: LoRAAdapter): number {
  let squares = 0;
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j <= i; j++) {
      let [a, b] = [0, 0];
      for (let k = 0; k < inFeatures; k++) a += loraA[i * inFeatures + k]! * loraA[j * inFeatures + k]!;
      for (let k = 0; k < outFeatures; k++) b += loraB[k * rank + i]! * loraB[k * rank + j]!;
      squares += (i === j ? 1 : 2) * a * b;
    }
  }
  return Math.abs(scaling) * Math.sqrt(Math.max(0, squares));
}
