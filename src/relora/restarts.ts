import { redrawDropout } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import type { BatchCursor } from "../data/cursor.js";
import type { Batch } from "../data/packing.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { AdamW } from "../optim/adamw.js";
import { clipCoefficient, globalNorm } from "../optim/clip.js";
import { discardGradient } from "../optim/gradient.js";
import { zeroShare } from "../optim/reset.js";
import type { TrainingStep } from "../programs/training-step.js";
import { Rng } from "../tensor/random.js";
import { type SeenUpdate, startInGradient } from "./core-bases.js";
import type { RestartedDirections } from "./merging.js";
import { type FactorState, factorStates, GradientMoments, resetMoments } from "./restart-moments.js";

/** The parts of a run that restarts need. */
export interface RestartedRun {
  readonly model: CausalLM;
  readonly cursor: BatchCursor;
  readonly threads: number;
}

/** Starts of adapters, at first and after merges, beside zeros and random draws: bases of cores, and moments. */
export class Restarts {
  readonly #settings: Settings;
  readonly #run: RestartedRun;
  /** Updates to come, as the last search for bases saw them; kept until moments are primed with them. */
  #seen: readonly SeenUpdate[] = [];

  constructor(settings: Settings, run: RestartedRun) {
    this.#settings = settings;
    this.#run = run;
  }

  /**
   * Finds the bases of cores, where the run has some, in the gradients of the updates that come next.
   * @param step the last one, from 0.
   */
  async startCores(step: number): Promise<void> {
    const { seed, device, batchSize, sequenceLength, lossChunk, checkpointing } = this.#settings;
    if (!this.#hasCores) return;
    const { model, threads } = this.#run;
    const redraw = (update: number, batch: number): void =>
      redrawDropout(model, new Rng(seed, `bases/${update}/${batch}`, step));
    const options = { batchSize, sequenceLength, lossChunk, checkpointing, device, threads };
    const seen = await startInGradient(model, this.#comingUpdates(), new Rng(seed, "bases", step), options, redraw);
    if (this.#primes) this.#seen = seen;
  }

  /** Lets the first cores begin with the moments that restarts give those after them. */
  primeCores({ state, options }: AdamW): void {
    if (!this.#hasCores || !this.#primes) return;
    const states = factorStates(this.#run.model, state);
    this.#seenMoments(states).prime(states, new Map(), options);
  }

  /**
   * Resets the moments of what a merge restarted, as the settings say.
   * @param directions what the merge restarted.
   * @param training gives the gradients that prime moments.
   * @returns the share of the adapters' moments that is zero afterwards.
   */
  async resetOptimizer(
    step: number,
    { state, options }: AdamW,
    training: TrainingStep,
    directions: RestartedDirections,
  ): Promise<number> {
    const { seed } = this.#settings;
    const states = factorStates(this.#run.model, state);
    resetMoments(states, directions, this.#settings, new Rng(seed, "prune", step));
    if (this.#primes) {
      const moments = this.#hasCores ? this.#seenMoments(states) : await this.#comingMoments(step, states, training);
      moments.prime(states, directions, options);
    }
    return zeroShare(states.map((each) => each.state));
  }

  get #hasCores(): boolean {
    return this.#settings.adapterKind === "core";
  }

  get #primes(): boolean {
    const { method, optimizerReset } = this.#settings;
    return method === "relora" && optimizerReset === "primed";
  }

  #seenMoments(states: readonly FactorState[]): GradientMoments {
    const moments = new GradientMoments(states);
    const { clipGradNorm } = this.#settings;
    for (const { gradients, norm } of this.#seen) moments.add(gradients, clipCoefficient(norm, clipGradNorm));
    this.#seen = [];
    return moments;
  }

  async #comingMoments(step: number, states: readonly FactorState[], training: TrainingStep): Promise<GradientMoments> {
    const { seed, clipGradNorm } = this.#settings;
    const moments = new GradientMoments(states);
    for (const [update, batches] of this.#comingUpdates().entries()) {
      const redraw = (i: number): void => redrawDropout(this.#run.model, new Rng(seed, `restart/${update}/${i}`, step));
      const { gradients } = await training.runAll(batches, redraw);
      const norm = globalNorm(gradients.values());
      if (Number.isFinite(norm)) moments.add(gradients, clipCoefficient(norm, clipGradNorm));
      for (const gradient of gradients.values()) discardGradient(gradient);
    }
    return moments;
  }

  /** The micro-batches of the next restartBatches updates, which stay to be trained on. */
  #comingUpdates(): Batch[][] {
    const { cursor } = this.#run;
    const { position } = cursor;
    const { restartBatches, totalBatchSize, batchSize } = this.#settings;
    const updates = Array.from({ length: restartBatches }, () => cursor.take(totalBatchSize / batchSize));
    cursor.seek(position);
    return updates;
  }
}
