import { adapterParameters, linearLayers, mergeableLayers } from "../adapters/inject.js";
import { MergeableQuantizedLinear } from "../adapters/mergeable-layer.js";
import type { Settings } from "../config/settings.js";
import { diskParameters } from "../loading/model-source.js";
import { quantizeStructure } from "../loading/quantizing.js";
import type { CausalLM } from "../models/causal-lm.js";
import { countElements } from "../nn/module.js";
import { QuantizedLinear } from "../quant/quantized-linear.js";
import type { QuantizedWeight } from "../quant/quantized-weight.js";
import type { Quantizer } from "../quant/quantizer.js";
import { addAdapters } from "../relora/settings-adapters.js";
import { Rng } from "../tensor/random.js";

/** Contents of a model in one phase of a run. */
export interface RunShape {
  /** Built, but without values: nothing of the size of a weight has been made for it. */
  readonly model: CausalLM;
  /** Weights of the model without its adapters. */
  readonly parameters: number;
  readonly adapterParameters: number;
  /** Weights that the phase trains, adapters included. */
  readonly trainableParameters: number;
  /** Bytes of the model without its adapters, as it is held. */
  readonly baseBytes: number;
}

/**
 * The phases of a run in order: full-rank training, then training with adapters, as far as the settings ask for either.
 * @param build gives a new model without its weights.
 * @throws ConfigError for adapters that do not fit the model.
 */
export function runShapes(build: () => CausalLM, settings: Settings, quantizer: Quantizer | null): RunShape[] {
  const shapes: RunShape[] = [];
  if (settings.method === "full" || settings.warmStartSteps > 0) shapes.push(shapeOf(build()));
  if (settings.method !== "full") {
    const model = build();
    if (quantizer !== null) quantizeStructure(model, quantizer);
    addAdapters(model, settings, new Rng(settings.seed));
    shapes.push(shapeOf(model));
  }
  return shapes;
}

function shapeOf(model: CausalLM): RunShape {
  const all = [...diskParameters(model).values()];
  const adapters = new Set(adapterParameters(model).values());
  const floats = countElements(all.filter((parameter) => !adapters.has(parameter)));
  const quantized = quantizedWeights(model);
  return {
    model,
    parameters: floats + quantized.reduce((sum, { size }) => sum + size, 0),
    adapterParameters: countElements(adapters),
    trainableParameters: countElements(all.filter(({ trainable }) => trainable)),
    baseBytes: 4 * floats + quantized.reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

function quantizedWeights(model: CausalLM): QuantizedWeight[] {
  const plain = [...linearLayers(model).values()].map(({ linear }) => linear);
  return [...plain, ...mergeableLayers(model).values()].flatMap((layer) =>
    layer instanceof QuantizedLinear || layer instanceof MergeableQuantizedLinear ? [layer.weight] : [],
  );
}
