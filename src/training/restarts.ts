import { redrawDropout } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import type { Batch } from "../data/packing.js";
import type { AdamW } from "../optim/adamw.js";
import { clipCoefficient, globalNorm } from "../optim/clip.js";
import { discardGradient } from "../optim/gradient.js";
import { zeroShare } from "../optim/reset.js";
import { Rng } from "../tensor/random.js";
import { type SeenUpdate, startInGradient } from "./core-bases.js";
import type { RestartedDirections } from "./merging.js";
import type { PreparedRun } from "./prepare.js";
import { factorStates, GradientMoments, resetMoments } from "./restart-moments.js";
import type { TrainingStep } from "./step.js";

/** What adapters begin with, at first and after merges, beside zeros and what is drawn: bases of cores, and moments. */
export class Restarts {
  readonly #settings: Settings;
  readonly #run: Pick<PreparedRun, "model" | "cursor" | "threads">;
  /** Of the updates to come, by the last search for bases. */
  #seen: readonly SeenUpdate[] = [];

  constructor(settings: Settings, run: Pick<PreparedRun, "model" | "cursor" | "threads">) {
    this.#settings = settings;
    this.#run = run;
  }

  /**
   * Finds the bases of cores, where the run has some, in the gradients of the updates that come next.
   * @param step the last one, from 0.
   */
  async startCores(step: number): Promise<void> {
    const { seed, core, device, batchSize, sequenceLength, lossChunk, checkpointing } = this.#settings;
    if (!core) return;
    const { model, threads } = this.#run;
    const redraw = (update: number, batch: number): void =>
      redrawDropout(model, new Rng(seed, `bases/${update}/${batch}`, step));
    const options = { batchSize, sequenceLength, lossChunk, checkpointing, device, threads };
    this.#seen = await startInGradient(model, this.#comingUpdates(), new Rng(seed, "bases", step), options, redraw);
  }

  /** Lets the first cores begin with the moments that restarts give those after them. */
  primeCores(optimizer: AdamW): void {
    const { core, method, optimizerReset } = this.#settings;
    if (core && method === "relora" && optimizerReset === "primed")
      this.#prime(optimizer, this.#seenMoments(optimizer));
  }

  /**
   * Resets the moments of what a merge restarted, as the settings say.
   * @param directions what the merge restarted.
   * @param training gives the gradients that prime moments.
   * @returns the share of the adapters' moments that is zero afterwards.
   */
  async resetOptimizer(
    step: number,
    optimizer: AdamW,
    training: TrainingStep,
    directions: RestartedDirections,
  ): Promise<number> {
    const { optimizerReset, seed, core } = this.#settings;
    const states = factorStates(this.#run.model, optimizer.state);
    resetMoments(states, directions, this.#settings, new Rng(seed, "prune", step));
    if (optimizerReset === "primed") {
      const moments = core ? this.#seenMoments(optimizer) : await this.#comingMoments(step, optimizer, training);
      this.#prime(optimizer, moments, directions);
    }
    return zeroShare(states.map((each) => each.state));
  }

  #prime(optimizer: AdamW, moments: GradientMoments, directions: RestartedDirections = new Map()): void {
    const { state, options } = optimizer;
    moments.prime(factorStates(this.#run.model, state), directions, options);
    this.#seen = [];
  }

  #seenMoments(optimizer: AdamW): GradientMoments {
    const moments = this.#noMoments(optimizer);
    for (const { gradients, norm } of this.#seen) moments.add(gradients, clipping(norm, this.#settings));
    return moments;
  }

  async #comingMoments(step: number, optimizer: AdamW, training: TrainingStep): Promise<GradientMoments> {
    const { seed } = this.#settings;
    const moments = this.#noMoments(optimizer);
    for (const [update, batches] of this.#comingUpdates().entries()) {
      const redraw = (i: number): void => redrawDropout(this.#run.model, new Rng(seed, `restart/${update}/${i}`, step));
      const { gradients } = await training.runAll(batches, redraw);
      const norm = globalNorm(gradients.values());
      if (Number.isFinite(norm)) moments.add(gradients, clipping(norm, this.#settings));
      for (const gradient of gradients.values()) discardGradient(gradient);
    }
    return moments;
  }

  #noMoments({ state }: AdamW): GradientMoments {
    return new GradientMoments(factorStates(this.#run.model, state));
  }

  /** The micro-batches of the next restartBatches updates, which stay to be trained on. */
  #comingUpdates(): Batch[][] {
    const { cursor } = this.#run;
    const { position } = cursor;
    const updates = Array.from({ length: this.#settings.restartBatches }, () => nextBatches(this.#run, this.#settings));
    cursor.seek(position);
    return updates;
  }
}

/** The micro-batches of the next update. */
export function nextBatches(
  { cursor }: Pick<PreparedRun, "cursor">,
  { batchSize, totalBatchSize }: Pick<Settings, "batchSize" | "totalBatchSize">,
): Batch[] {
  return Array.from({ length: totalBatchSize / batchSize }, () => cursor.next());
}

/** What a gradient of this norm is scaled by. */
export function clipping(norm: number, { clipGradNorm }: Pick<Settings, "clipGradNorm">): number {
  return clipGradNorm === null ? 1 : clipCoefficient(norm, clipGradNorm);
}
