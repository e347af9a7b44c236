import { linearLayers } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import { Linear } from "../nn/linear.js";
import { createQuantizedWeight, QuantizedLinear } from "../quant/quantized-linear.js";
import { createQuantizer, describeQuantizer, type Quantizer } from "../quant/quantizer.js";
import { ConfigError, NumericError } from "../tensor/errors.js";
import type { QuantizedLayer, QuantizeRecord } from "./metrics.js";

/** What quantizing a model's layers lost. */
export type QuantizationError = Pick<QuantizeRecord, "relativeError" | "bytes" | "layers">;

/** What the frozen weights of a run are quantized with; null for float32. */
export function quantizerOf({
  quantize,
  doubleQuant,
  quantBlockSize: blockSize,
}: Pick<Settings, "quantize" | "doubleQuant" | "quantBlockSize">): Quantizer | null {
  return quantize === "none" ? null : createQuantizer(quantize, { blockSize, doubleQuant });
}

/**
 * What holds the frozen weights of the run: that of the settings, or what the model is quantized with already.
 * @throws ConfigError if these differ, or if a quantized model is to be trained in full.
 */
export function frozenQuantizer(
  model: LlamaForCausalLM,
  settings: Pick<Settings, "quantize" | "doubleQuant" | "quantBlockSize" | "method" | "warmStartSteps" | "model">,
): Quantizer | null {
  const wanted = quantizerOf(settings);
  const present = [...linearLayers(model).values()].flatMap(({ linear }) =>
    linear instanceof QuantizedLinear ? [linear.weight.quantizer] : [],
  )[0];
  if (present === undefined) return wanted;
  const held = `${settings.model} is quantized already (${describeQuantizer(present)})`;
  if (settings.method === "full" || settings.warmStartSteps > 0) {
    throw new ConfigError(
      `method: ${held}, so its weights cannot be trained; use method lora or relora without warmStartSteps`,
    );
  }
  if (wanted !== null && describeQuantizer(wanted) !== describeQuantizer(present)) {
    throw new ConfigError(
      `quantize: ${held}, not with ${describeQuantizer(wanted)}; leave quantize out, or start from the float model`,
    );
  }
  return present;
}

/**
 * Puts quantized layers in the place of every float32 linear layer, one at a time.
 * @param readWeight gives the weights in float32 by their names on disk.
 * @throws NumericError that names the weight that is not finite.
 */
export async function quantizeLayers(
  model: LlamaForCausalLM,
  quantizer: Quantizer,
  readWeight: (name: string) => Promise<Float32Array>,
): Promise<QuantizationError> {
  const layers: QuantizedLayer[] = [];
  let [bytes, squares, errors] = [0, 0, 0];
  for (const [layer, { slot, linear }] of linearLayers(model)) {
    if (!(linear instanceof Linear)) continue;
    const name = `${layer}.weight`;
    const values = await readWeight(name);
    const weight = createQuantizedWeight([linear.outFeatures, linear.inFeatures], quantizer);
    try {
      weight.assign(values);
    } catch (error) {
      throw error instanceof NumericError ? new NumericError(`${name}: ${error.message}`, { cause: error }) : error;
    }
    const error = quantizationError(values, weight.values());
    layers.push({ name: layer, relativeError: Math.sqrt(error.errors / error.squares), largestError: error.largest });
    [squares, errors, bytes] = [squares + error.squares, errors + error.errors, bytes + weight.byteLength];
    replaceLinear(slot, linear, new QuantizedLinear(weight));
  }
  return { relativeError: Math.sqrt(errors / squares), bytes, layers };
}

/** As `quantizeLayers`, for a model whose weights do not matter: to see what it takes. */
export function quantizeStructure(model: LlamaForCausalLM, quantizer: Quantizer): void {
  for (const { slot, linear } of linearLayers(model).values()) {
    if (!(linear instanceof Linear)) continue;
    const weight = createQuantizedWeight([linear.outFeatures, linear.inFeatures], quantizer);
    replaceLinear(slot, linear, new QuantizedLinear(weight));
  }
}

function replaceLinear(
  slot: { replace(module: QuantizedLinear): void },
  { training }: Linear,
  layer: QuantizedLinear,
): void {
  layer.training = training;
  slot.replace(layer);
}

function quantizationError(
  exact: Float32Array,
  rounded: Float32Array,
): { squares: number; errors: number; largest: number } {
  let [squares, errors, largest] = [0, 0, 0];
  for (let i = 0; i < exact.length; i++) {
    const error = Math.abs(exact[i]! - rounded[i]!);
    squares += exact[i]! ** 2;
    errors += error ** 2;
    if (error > largest) largest = error;
  }
  return { squares, errors, largest };
}
