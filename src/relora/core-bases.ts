import { CoreAdapter } from "../adapters/core-adapter.js";
import { loraAdapters } from "../adapters/inject.js";
import type { Batch } from "../data/packing.js";
import { diskParameters } from "../loading/model-source.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import { globalNorm } from "../optim/clip.js";
import { discardGradient, type Gradient, readGradient } from "../optim/gradient.js";
import { TrainingStep, type TrainingStepOptions } from "../programs/training-step.js";
import type { Rng } from "../tensor/random.js";

/** The cores of a model by the name of their layer. */
function coreAdapters(model: CausalLM): Map<string, CoreAdapter> {
  const cores = new Map<string, CoreAdapter>();
  for (const [name, adapter] of loraAdapters(model)) if (adapter instanceof CoreAdapter) cores.set(name, adapter);
  return cores;
}

/** Parameters whose gradients the search for bases takes: all that is trained, and the bases. */
export function searchedParameters(model: CausalLM): Map<string, Parameter> {
  const cores = new Set([...coreAdapters(model).values()].flatMap(({ loraA, loraB }) => [loraA, loraB]));
  if (cores.size === 0) return new Map();
  return new Map([...diskParameters(model)].filter(([, each]) => each.trainable || cores.has(each)));
}

/** An update that is still to come, as a search for bases saw it. */
export interface SeenUpdate {
  /** Gradients of the cores in their new bases, by parameter name. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** The norm of the gradient of all that is trained. */
  readonly norm: number;
}

/**
 * Starts every core of the model anew, between bases that are the leading singular directions of the gradient of its
 * layer's weight, as mean over the updates that the batches are for. The gradient itself, as large as the weight, is
 * never formed: a first pass finds what it spans, a second one its directions within that.
 * @param updates micro-batches of each update.
 * @param redraw is called before each micro-batch, with the numbers of the update and of the batch within it.
 * @returns what the second pass saw of each update; without those whose numbers are not finite.
 */
export async function startInGradient(
  model: CausalLM,
  updates: readonly (readonly Batch[])[],
  rng: Rng,
  options: TrainingStepOptions,
  redraw: (update: number, batch: number) => void,
): Promise<SeenUpdate[]> {
  const cores = coreAdapters(model);
  for (const [name, core] of cores) {
    core.reset(rng.fork(name));
    core.probe();
  }
  const bases = new Map<string, Float32Array>();
  const seen: SeenUpdate[] = [];
  const step = await TrainingStep.compile(model, searchedParameters(model), options);
  const eachUpdate = async (use: (gradients: Map<string, Gradient>, norm: number) => void): Promise<void> => {
    for (const [update, batches] of updates.entries()) {
      const { gradients } = await step.runAll(batches, (batch) => redraw(update, batch));
      const norm = globalNorm(gradients.values());
      if (Number.isFinite(norm)) use(gradients, norm);
      for (const gradient of gradients.values()) discardGradient(gradient);
    }
  };
  try {
    await eachUpdate((gradients) => {
      for (const name of cores.keys()) {
        for (const base of BASES.map((base) => `${name}.adapter.${base}`)) addTo(bases, base, gradients.get(base)!);
      }
    });
    for (const [name, core] of cores) {
      const [loraA, loraB] = BASES.map((base) => bases.get(`${name}.adapter.${base}`));
      const { start } = core;
      core.startIn({ loraA: loraA ?? start.loraA, loraB: loraB ?? start.loraB }, rng.fork(name).fork("rest"));
    }
    // The bases have no gradient, as long as cores are zero, and so no part in the norm.
    await eachUpdate((gradients, norm) => {
      const names = [...cores.keys()].map(coreOf);
      seen.push({
        norm,
        gradients: new Map(names.map((name) => [name, dense(gradients.get(name)!).slice()] as const)),
      });
    });
  } finally {
    await step.release();
  }
  for (const [name, core] of cores) {
    const all = seen.map(({ gradients }) => gradients.get(coreOf(name))!);
    if (all.length > 0) core.turn(all);
  }
  return seen;
}

const BASES = ["loraA", "loraB"] as const;

const coreOf = (layer: string): string => `${layer}.adapter.core`;

/** Only those of embedding tables are not. */
function dense(gradient: Gradient): Float32Array {
  return readGradient(gradient, 0, gradient.length);
}

function addTo(sums: Map<string, Float32Array>, name: string, gradient: Gradient): void {
  const values = dense(gradient);
  const sum = sums.get(name);
  if (sum === undefined) sums.set(name, values.slice());
  else for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}
