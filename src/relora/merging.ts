// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { loraAdapters, mergeAdapters, mergeableLayers } from "../adapters/inject.js";
import type { LayerInputs } from "../adapters/low-rank-approximation.js";
import { type LowRankTerm, updateOf } from "../adapters/low-rank-term.js";
import { MergeableQuantizedLinear, type MergeOutcome } from "../adapters/mergeable-layer.js";
import { singularValues } from "../adapters/spectrum.js";
import type { CausalLM } from "../models/causal-lm.js";
import { largestChange, type Probe } from "../programs/probe.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import type { Delta } from "./delta-log.js";
import { learnedTerms, pairsOf, scalingsOf, termsOf } from "./delta-terms.js";
import type { MasterWeights } from "./master-weights.js";
import { type MergedLayer, type MergeReport, RANK_THRESHOLD } from "./merge-report.js";

/** Ranks summed over the cycles beyond which only some layers are analysed: singular values cost the cube of it. */
const LARGEST_FULL_ANALYSIS = 256;

/** The parts of a run that merging needs. */
export interface MergeContext {
  readonly step: number;
  readonly cycle: number;
  readonly seed: number;
  /** Merge policy of the quantized weights; null where the weights are float32. */
  readonly policy: string | null;
  /** The share of the directions of each adapter, the weakest, that is merged and starts anew. */
  readonly share: number;
  /** Makes the cycle durable before the weights change. */
  readonly log: (delta: Delta) => Promise<void>;
  /** Called when the weights have changed. */
  readonly onMerged: () => void;
  /** Held-out loss of the model as it is. */
  readonly heldOutLoss: () => Promise<number>;
  /** Gives the inputs of the layers, for policies that ask for them. */
  readonly recordInputs: () => Promise<ReadonlyMap<string, LayerInputs>>;
}

/** The directions of adapters that were restarted, by layer; a layer that is missing was restarted as a whole. */
export type RestartedDirections = ReadonlyMap<string, readonly number[]>;

/** The result of a merge. */
export interface Merged {
  readonly report: MergeReport;
  readonly directions: RestartedDirections;
}

/** Ends cycles: logs them, merges their adapters into the weights, and measures what that did. */
export class Merger {
  readonly #model: CausalLM;
  readonly #probe: Probe;
  readonly #master: MasterWeights;

  /** @param master gets every merged cycle. */
  constructor(model: CausalLM, probe: Probe, master: MasterWeights) {
    this.#model = model;
    this.#probe = probe;
    this.#master = master;
  }

  /**
   * Merges every adapter and starts it anew. The rank is that of every adapted layer; once the ranks of the cycles
   * add up to more than 256, of one layer of each kind, from the middle of the model.
   */
  async merge(context: MergeContext): Promise<Merged> {
    const { step, cycle, seed, policy, share } = context;
    const directions = restartedDirections(this.#model, share);
    const cycleTerms = learnedTerms(this.#model, directions);
    const [before, lossBefore] = [await this.#probe.run(), await context.heldOutLoss()];
    const inputs = startsFromResidual(this.#model) ? await context.recordInputs() : undefined;
    await context.log({ cycle, step, ...scalingsOf(cycleTerms), layers: pairsOf(cycleTerms) });
    await this.#master.append(cycle);
    const outcomes = await mergeAdapters(this.#model, mergeRng(seed, step), (name) => {
      return { inputs: inputs?.get(name), directions: directions.get(name) };
    });
    context.onMerged();
    const [after, lossAfter] = [await this.#probe.run(), await context.heldOutLoss()];
    const layers = await this.#describe(outcomes);
    const report: MergeReport = {
      step,
      cycle,
      policy,
      lossBefore,
      lossAfter,
      ...this.#totals(outcomes),
      probeLogitsChange: largestChange(before, after),
      rank: layers.reduce((sum, { rank }) => sum + (rank ?? 0), 0),
      layers,
    };
    return { report, directions };
  }

  async #describe(outcomes: ReadonlyMap<string, MergeOutcome>): Promise<MergedLayer[]> {
    const analysed = this.#analysed();
    const layers: MergedLayer[] = [];
    for (const [name, outcome] of outcomes) {
      layers.push({ name, ...outcome, rank: analysed.has(name) ? await this.#rank(name) : null });
    }
    return layers;
  }

  async #rank(layer: string): Promise<number> {
    const { inFeatures, outFeatures } = mergeableLayers(this.#model).get(layer)!;
    const terms: LowRankTerm[] = [];
    for await (const term of this.#master.terms(layer)) terms.push(term);
    return singularValues(terms, outFeatures, inFeatures).filter((value) => value > RANK_THRESHOLD).length;
  }

  /** The same of all layers together as each outcome says of its own. */
  #totals(outcomes: ReadonlyMap<string, MergeOutcome>): MergeOutcome {
    const layers = mergeableLayers(this.#model);
    let [squares, projection, codes, changed] = [0, 0, 0, 0];
    for (const [name, { deltaNorm, recovered, codesChanged }] of outcomes) {
      squares += deltaNorm ** 2;
      projection += recovered * deltaNorm ** 2;
      if (codesChanged === null) continue;
      const { inFeatures, outFeatures } = layers.get(name)!;
      codes += inFeatures * outFeatures;
      changed += codesChanged * inFeatures * outFeatures;
    }
    return {
      deltaNorm: Math.sqrt(squares),
      recovered: squares === 0 ? 1 : projection / squares,
      codesChanged: codes === 0 ? null : changed / codes,
    };
  }

  #analysed(): ReadonlySet<string> {
    const names = [...loraAdapters(this.#model).keys()];
    if (this.#master.summedRank(names[0]!) <= LARGEST_FULL_ANALYSIS) return new Set(names);
    const kindOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
    return new Set(
      [...new Set(names.map(kindOf))].map((kind) => {
        const ofKind = names.filter((name) => kindOf(name) === kind);
        return ofKind[Math.floor(ofKind.length / 2)]!;
      }),
    );
  }
}

/**
 * Brings the quantized weights of a model fresh from its base to where the logged cycles brought them in training;
 * float32 weights too. `master` gets the cycles.
 */
export async function replayMerges(
  model: CausalLM,
  deltas: AsyncIterable<Delta>,
  master: MasterWeights,
  seed: number,
): Promise<void> {
  for await (const delta of deltas) {
    const terms = termsOf(delta);
    await master.append(delta.cycle);
    for (const [name, layer] of mergeableLayers(model)) {
      const { frozen, inFeatures, outFeatures } = layer;
      const weight = tensor(frozen.values(), [outFeatures, inFeatures]);
      const update = (await updateOf(terms.get(name)!, weight).data()) as Float32Array;
      await layer.mergeUpdate(update, mergeRng(seed, delta.step).fork(name));
    }
  }
}

/**
 * Lets the adapters of quantized layers start near what quantizing took from the weights, where their policy says so.
 * @param readWeight gives the exact weight of a layer.
 */
export async function startFromResiduals(
  model: CausalLM,
  readWeight: (layer: string) => Promise<Float32Array>,
  rng: Rng,
  recordInputs: () => Promise<ReadonlyMap<string, LayerInputs>>,
): Promise<void> {
  if (!startsFromResidual(model)) return;
  const inputs = await recordInputs();
  for (const [name, layer] of mergeableLayers(model)) {
    if (!(layer instanceof MergeableQuantizedLinear)) continue;
    const residual = (await readWeight(name)).slice();
    const held = layer.weight.values();
    for (let i = 0; i < residual.length; i++) residual[i]! -= held[i]!;
    await layer.adapter.startNear(residual, rng.fork(name), inputs.get(name));
  }
}

/** Draws the adapters after a merge, and the rounding of it. */
function mergeRng(seed: number, step: number): Rng {
  return new Rng(seed, "adapters", step);
}

/** True if a layer needs its inputs when it is merged. */
function startsFromResidual(model: CausalLM): boolean {
  return [...mergeableLayers(model).values()].some(
    (layer) => layer instanceof MergeableQuantizedLinear && layer.policy.startsFromResidual,
  );
}

/** The weakest directions of each adapter that are a share of it; none are named where that is all. */
function restartedDirections(model: CausalLM, share: number): RestartedDirections {
  if (share === 1) return new Map();
  return new Map([...loraAdapters(model)].map(([name, adapter]) => [name, adapter.weakestDirections(share)] as const));
}
