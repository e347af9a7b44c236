import { adaptersOf, adapterTensors } from "../adapters/inject.js";
import type { GradientStart, LinearAdapter } from "../adapters/linear-adapter.js";
import type { Batch } from "../data/packing.js";
import { diskParameters } from "../loading/model-source.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import { globalNorm } from "../optim/clip.js";
import { discardGradient, type Gradient, readGradient } from "../optim/gradient.js";
import { TrainingStep, type TrainingStepOptions } from "../programs/training-step.js";
import type { Rng } from "../tensor/random.js";

/** The adapters of a model that start in a gradient, by the name of their layer. */
function searchingAdapters(model: CausalLM): Map<string, { adapter: LinearAdapter; search: GradientStart }> {
  return new Map(
    [...adaptersOf(model)].flatMap(([layer, adapter]) => {
      const search = adapter.gradientStart;
      return search === undefined ? [] : [[layer, { adapter, search }] as const];
    }),
  );
}

/** True for a model with adapters that start in a gradient. */
export function startsInGradients(model: CausalLM): boolean {
  return searchingAdapters(model).size > 0;
}

/**
 * Parameters whose gradients the search takes: all that is trained, and what is frozen of the adapters that start in a
 * gradient.
 */
export function searchedParameters(model: CausalLM): Map<string, Parameter> {
  const searching = searchingAdapters(model);
  if (searching.size === 0) return new Map();
  const tensors = adapterTensors(model);
  const isSearched = (name: string): boolean => searching.has(tensors.get(name)?.layer ?? "");
  return new Map([...diskParameters(model)].filter(([name, { trainable }]) => trainable || isSearched(name)));
}

/** An update that is still to come, as a search for starts saw it. */
export interface SeenUpdate {
  /** Gradients of the trained parts between their new starts, by parameter name. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** The norm of the gradient of all that is trained. */
  readonly norm: number;
}

/**
 * Starts every adapter that starts in a gradient anew, by the gradient of its layer's weight, as mean over the updates
 * that the batches are for. The gradient itself, as large as the weight, is never formed: a first pass finds what it
 * spans, a second one its directions within that.
 * @param updates micro-batches of each update.
 * @param redraw is called before each micro-batch, with the numbers of the update and of the batch within it, and the
 * tokens that the batch computes.
 * @returns the second pass's view of each update; without those whose numbers are not finite.
 */
export async function startInGradient(
  model: CausalLM,
  updates: readonly (readonly Batch[])[],
  rng: Rng,
  options: TrainingStepOptions,
  redraw: (update: number, batch: number, tokens: number) => void,
): Promise<SeenUpdate[]> {
  const searching = searchingAdapters(model);
  for (const [layer, { adapter, search }] of searching) {
    adapter.reset(rng.fork(layer));
    search.probe();
  }
  const tensors = [...adapterTensors(model)].filter(([, { layer }]) => searching.has(layer));
  const trained = tensors.filter(([, { parameter }]) => parameter.trainable);
  const frozen = tensors.filter(([, { parameter }]) => !parameter.trainable);
  const sums = new Map<string, Float32Array>();
  const seen: SeenUpdate[] = [];
  const step = await TrainingStep.compile(model, searchedParameters(model), options);
  const eachUpdate = async (use: (gradients: Map<string, Gradient>, norm: number) => void): Promise<void> => {
    for (const [update, batches] of updates.entries()) {
      const { gradients } = await step.runAll(batches, (batch, tokens) => redraw(update, batch, tokens));
      const norm = globalNorm(gradients.values());
      if (Number.isFinite(norm)) use(gradients, norm);
      for (const gradient of gradients.values()) discardGradient(gradient);
    }
  };
  /** The gradients that there are of a layer's adapter, by the names of its parts. */
  const ofLayer = (layer: string, gradients: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> =>
    new Map(
      tensors.flatMap(([name, tensor]) => {
        const gradient = tensor.layer === layer ? gradients.get(name) : undefined;
        return gradient === undefined ? [] : [[tensor.name, gradient] as const];
      }),
    );
  try {
    await eachUpdate((gradients) => {
      for (const [name] of frozen) addTo(sums, name, gradients.get(name)!);
    });
    for (const [layer, { search }] of searching) {
      search.startIn(ofLayer(layer, sums), rng.fork(layer).fork("rest"));
    }
    // The frozen parts have no gradient, as long as the trained ones are zero, and so no part in the norm.
    await eachUpdate((gradients, norm) => {
      seen.push({
        norm,
        gradients: new Map(trained.map(([name]) => [name, dense(gradients.get(name)!).slice()] as const)),
      });
    });
  } finally {
    await step.release();
  }
  if (seen.length === 0) return seen;
  for (const [layer, { search }] of searching) search.turn(seen.map(({ gradients }) => ofLayer(layer, gradients)));
  return seen;
}

/** Only those of embedding tables are not. */
function dense(gradient: Gradient): Float32Array {
  return readGradient(gradient);
}

function addTo(sums: Map<string, Float32Array>, name: string, gradient: Gradient): void {
  const values = dense(gradient);
  const sum = sums.get(name);
  if (sum === undefined) sums.set(name, values.slice());
  else for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}
