import { linearLayers } from "../adapters/inject.js";
import { MergeableLayer, MergeableLinear, MergeableQuantizedLinear } from "../adapters/mergeable-layer.js";
import { CheckpointError, ConfigError, NumericError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { sum } from "../base/numbers.js";
import type { Settings } from "../config/settings.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Linear, type LinearLayer } from "../nn/linear.js";
import { type ModuleSlot, moduleSlots, namedParameters, Parameter } from "../nn/module.js";
import { createQuantizedWeight, QuantizedLinear } from "../quant/quantized-linear.js";
import type { QuantizedWeight } from "../quant/quantized-weight.js";
import { createQuantizer, describeQuantizer, type Quantizer } from "../quant/quantizer.js";
import { type QuantizationError, QuantizationTotal } from "./quantization-error.js";

/** The quantizer for the frozen weights of a run; null for float32. */
export function quantizerOf({
  quantize,
  doubleQuant,
  quantBlockSize: blockSize,
}: Pick<Settings, "quantize" | "doubleQuant" | "quantBlockSize">): Quantizer | null {
  return quantize === "none" ? null : createQuantizer(quantize, { blockSize, doubleQuant });
}

/** The quantizer of the layers of a model without adapters; null where they are float32. */
export function quantizerOfModel(model: CausalLM): Quantizer | null {
  for (const { linear } of linearLayers(model).values()) {
    if (linear instanceof QuantizedLinear) return linear.weight.quantizer;
  }
  return null;
}

/**
 * The quantizer of the frozen weights of the run: that of the settings, or that of a model that is quantized already.
 * @throws ConfigError if these differ, or if a quantized model is to be trained in full.
 */
export function frozenQuantizer(
  model: CausalLM,
  settings: Pick<Settings, "quantize" | "doubleQuant" | "quantBlockSize" | "method" | "warmStartSteps" | "model">,
): Quantizer | null {
  const wanted = quantizerOf(settings);
  const present = quantizerOfModel(model);
  if (present === null) return wanted;
  const held = `${settings.model} is quantized already (${describeQuantizer(present)})`;
  if (settings.method === "full" || settings.warmStartSteps > 0) {
    throw new ConfigError(
      `${optionName("method")}: ${held}, so its weights cannot be trained; use method lora or relora without ` +
        optionName("warmStartSteps"),
    );
  }
  if (wanted !== null && describeQuantizer(wanted) !== describeQuantizer(present)) {
    throw new ConfigError(
      `${optionName("quantize")}: ${held}, not with ${describeQuantizer(wanted)}; leave ` +
        `${optionName("quantize")} out, or start from the float model`,
    );
  }
  return present;
}

/**
 * Puts quantized layers in the place of every float32 linear layer, one at a time.
 * @param readWeight gives the weights in float32 by their names on disk.
 * @throws CheckpointError that names the weight that cannot be quantized.
 */
export async function quantizeLayers(
  model: CausalLM,
  quantizer: Quantizer,
  readWeight: (name: string) => Promise<Float32Array>,
): Promise<QuantizationError> {
  const total = new QuantizationTotal();
  for (const [layer, { slot, linear }] of linearLayers(model)) {
    if (!(linear instanceof Linear)) continue;
    const name = `${layer}.weight`;
    const values = await readWeight(name);
    const weight = quantizeWeight(name, values, [linear.outFeatures, linear.inFeatures], quantizer);
    total.add(layer, values, weight);
    replaceLinear(slot, linear, new QuantizedLinear(weight, linear.bias));
  }
  return total.result;
}

/**
 * A new quantized weight (outFeatures, inFeatures), each value to the nearest code.
 * @throws CheckpointError that names the weight if it holds values that are not finite or that the format does not
 * take.
 */
export function quantizeWeight(
  name: string,
  values: Float32Array,
  shape: readonly [outFeatures: number, inFeatures: number],
  quantizer: Quantizer,
): QuantizedWeight {
  const weight = createQuantizedWeight(shape, quantizer);
  try {
    weight.assign(values);
  } catch (error) {
    if (!(error instanceof NumericError)) throw error;
    throw new CheckpointError(`"${name}" cannot be quantized: ${error.message}; mend or retrain the model`, {
      cause: error,
    });
  }
  return weight;
}

/** As `quantizeLayers`, for a model whose weights do not matter: to see what it takes. */
export function quantizeStructure(model: CausalLM, quantizer: Quantizer): void {
  for (const { slot, linear } of linearLayers(model).values()) {
    if (!(linear instanceof Linear)) continue;
    const weight = createQuantizedWeight([linear.outFeatures, linear.inFeatures], quantizer);
    replaceLinear(slot, linear, new QuantizedLinear(weight, linear.bias));
  }
}

/** True if some weights are held in fewer bits than those of float32. */
export function isNarrow(model: CausalLM): boolean {
  return quantizedLayers(model).length > 0 || [...namedParameters(model)].some(([, { isHalf }]) => isHalf);
}

/** Bytes of all weights once they are held in float32. */
export function widenedBytes(model: CausalLM): number {
  const sizes = [...namedParameters(model)].map(([, { size }]) => size);
  return 4 * (sum(sizes) + sum(quantizedLayers(model).map(({ weight }) => weight.size)));
}

/** Holds all weights in float32, with the values that they have. */
export function widen(model: CausalLM): void {
  for (const { slot, layer, weight } of quantizedLayers(model)) {
    const widened = new Linear(new Parameter(weight.values(), weight.shape, { trainable: false }), layer.bias);
    replaceLinear(slot, layer, layer instanceof MergeableLayer ? new MergeableLinear(widened, layer.adapter) : widened);
  }
  for (const [, parameter] of namedParameters(model)) if (parameter.isHalf) parameter.adopt(parameter.read());
}

/** A layer with a quantized weight, with or without an adapter, and its place in the model. */
interface QuantizedLayer {
  readonly slot: ModuleSlot;
  readonly layer: QuantizedLinear | MergeableQuantizedLinear;
  readonly weight: QuantizedWeight;
}

function quantizedLayers(model: CausalLM): QuantizedLayer[] {
  return moduleSlots(model).flatMap((slot) => {
    const layer = slot.module;
    return layer instanceof QuantizedLinear || layer instanceof MergeableQuantizedLinear
      ? [{ slot, layer, weight: layer.weight }]
      : [];
  });
}

function replaceLinear(
  slot: { replace(module: LinearLayer): void },
  { training }: LinearLayer,
  layer: LinearLayer,
): void {
  layer.training = training;
  slot.replace(layer);
}
