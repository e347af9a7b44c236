// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { adaptersOf, mergeAdapters, mergeableLayers } from "../adapters/inject.js";
import type { LayerInputs } from "../adapters/low-rank-approximation.js";
import { type LowRankTerm, updateOf } from "../adapters/low-rank-term.js";
import { MergeableQuantizedLinear, type MergeOutcome } from "../adapters/mergeable-layer.js";
import { sum } from "../base/numbers.js";
import type { CausalLM } from "../models/causal-lm.js";
import { globalNorm } from "../optim/clip.js";
import { recordLayerInputs } from "../programs/layer-inputs.js";
import { largestChange } from "../programs/probe.js";
import { Rng } from "../tensor/random.js";
import type { CompiledPhase, TrainedRun } from "./compiled-phase.js";
import type { Delta } from "./delta-log.js";
import { learnedTerms, pairsOf, scalingsOf, termsOf } from "./delta-terms.js";
import type { MasterWeights } from "./master-weights.js";
import { mergedLayers, totalOutcome } from "./merge-measures.js";
import type { MergeReport } from "./merge-report.js";
import type { StepPlan } from "./plan.js";
import type { RestartedDirections } from "./restart-moments.js";
import { restart } from "./restarts.js";

/** A cycle that has ended. */
export interface EndedCycle {
  /** SHA-256 of its file in the delta log. */
  readonly sha256: string;
  readonly report: MergeReport;
  /** The share of the adapters' moments that is zero after their reset; null where they were not reset. */
  readonly zeroedFraction: number | null;
}

/** The way in which a cycle ends. */
export interface CycleEnd {
  /**
   * True if the cycle is merged into the delta log alone: quantized weights and adapters stay what was trained. This is
   * how the last cycle ends, since no step follows that would need the adapters empty.
   */
  readonly keepsTrained: boolean;
  /** False leaves out the held-out losses before and after. Default true: where milestones are evaluated. */
  readonly measures?: boolean;
}

/**
 * Ends a cycle, which is what ReLoRA adds to LoRA (Lialin et al. 2023, arXiv:2307.05695, algorithm 1): adds to the
 * weights what the adapters have learned, and starts them anew, with moments of their own. With a share below 1 only
 * the weakest directions of each adapter are merged and start anew.
 * @param master gets the cycle. It is in the log before a weight changes, since quantized weights are rebuilt from
 * there.
 */
export async function endCycle(
  run: TrainedRun,
  phase: CompiledPhase,
  plan: StepPlan,
  master: MasterWeights,
  { keepsTrained, measures = true }: CycleEnd = { keepsTrained: false },
): Promise<EndedCycle> {
  const { model, settings, quantizer } = run;
  const { step, cycle, mergeShare } = plan;
  const directions = weakestDirections(model, mergeShare);
  const learned = await learnedTerms(model, directions);
  const before = await phase.measure(measures);

  const sha256 = await master.log({ cycle, step, ...scalingsOf(learned), layers: pairsOf(learned) });
  const outcomes = keepsTrained
    ? await unrounded(model, learned)
    : await mergeIntoWeights(run, phase, plan, directions);

  const after = await phase.measure(measures);
  const layers = await mergedLayers(model, outcomes, master);
  const report = {
    step,
    cycle,
    policy: keepsTrained ? null : quantizer && settings.mergePolicy,
    lossBefore: before.heldOutLoss,
    lossAfter: after.heldOutLoss,
    ...totalOutcome(model, outcomes),
    probeLogitsChange: largestChange(before.probe, after.probe),
    rank: sum(layers.map(({ rank }) => rank ?? 0)),
    layers,
  };
  if (keepsTrained) return { sha256, report, zeroedFraction: null };
  // Starts in gradients, and moments.
  const zeroedFraction = await restart(run, phase, plan, directions);
  return { sha256, report, zeroedFraction };
}

/** Merges the adapters of a logged cycle into the weights, and starts them anew but for gradients and moments. */
export async function mergeIntoWeights(
  run: TrainedRun,
  phase: CompiledPhase,
  { step }: Pick<StepPlan, "step">,
  directions: RestartedDirections = new Map(),
): Promise<Map<string, MergeOutcome>> {
  const { model, settings } = run;
  const inputs = startsFromResidual(model) ? await layerInputs(run) : undefined;
  const outcomes = await mergeAdapters(model, mergeRng(settings.seed, step), (name) => {
    return { inputs: inputs?.get(name), directions: directions.get(name) };
  });
  phase.changed();
  return outcomes;
}

/** The outcome of a merge into the delta log, which holds float32. */
async function unrounded(model: CausalLM, terms: ReadonlyMap<string, LowRankTerm>): Promise<Map<string, MergeOutcome>> {
  const outcomes = new Map<string, MergeOutcome>();
  for (const [name, { frozen }] of mergeableLayers(model)) {
    const update = (await updateOf(terms.get(name)!, frozen.tensor()).data()) as Float32Array;
    outcomes.set(name, { deltaNorm: globalNorm([update]), recovered: 1, codesChanged: null });
  }
  return outcomes;
}

/**
 * Brings the weights of a model fresh from its base to where the logged cycles brought them in training, quantized ones
 * bit for bit.
 * @param master gets the cycles.
 * @param taken the number of cycles that the weights took up; one after these is in the log alone.
 */
export async function replayMerges(
  model: CausalLM,
  deltas: AsyncIterable<Delta>,
  master: MasterWeights,
  seed: number,
  taken: number,
): Promise<void> {
  for await (const delta of deltas) {
    const terms = termsOf(delta);
    await master.append(delta.cycle);
    if (delta.cycle > taken) continue;
    for (const [name, layer] of mergeableLayers(model)) {
      if (delta.cycle < taken && !layer.keepsHistory) continue;
      await layer.mergeTerm(terms.get(name)!, mergeRng(seed, delta.step).fork(name));
    }
  }
}

/**
 * Lets the adapters of quantized layers start near what quantizing took from the weights, where their policy says so.
 * @param readWeight gives the exact weight of a layer.
 */
export async function startFromResiduals(
  run: TrainedRun,
  readWeight: (layer: string) => Promise<Float32Array>,
  rng: Rng,
): Promise<void> {
  const { model } = run;
  if (!startsFromResidual(model)) return;
  const inputs = await layerInputs(run);
  for (const [name, layer] of mergeableLayers(model)) {
    if (!(layer instanceof MergeableQuantizedLinear)) continue;
    const residual = (await readWeight(name)).slice();
    const held = layer.weight.values();
    for (let i = 0; i < residual.length; i++) residual[i]! -= held[i]!;
    await layer.adapter.startNear(residual, rng.fork(name), inputs.get(name));
  }
}

/** The inputs of each adapted layer on training data. */
function layerInputs({
  model,
  calibration,
  threads,
  settings: { device, deterministic, batchSize },
}: TrainedRun): Promise<ReadonlyMap<string, LayerInputs>> {
  const sequenceLength = calibration.inputIds.length / batchSize;
  return recordLayerInputs(model, calibration, sequenceLength, { device, threads, deterministic });
}

/** The randomness of the adapters after a merge, and of its rounding. */
function mergeRng(seed: number, step: number): Rng {
  return new Rng(seed, "adapters", step);
}

/** True for layers whose next adapters start near what rounding takes away, for which they need their inputs. */
function startsFromResidual(model: CausalLM): boolean {
  return [...mergeableLayers(model).values()].some(
    (layer) => layer instanceof MergeableQuantizedLinear && layer.policy.startsFromResidual,
  );
}

/** The weakest directions of each adapter, a share of them; none are named where that is all. */
function weakestDirections(model: CausalLM, share: number): RestartedDirections {
  if (share === 1) return new Map();
  return new Map(
    [...adaptersOf(model)].flatMap(([name, adapter]) => {
      const directions = adapter.weakestDirections(share);
      return directions === undefined ? [] : [[name, directions] as const];
    }),
  );
}
