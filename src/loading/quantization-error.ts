import { COUNT, type Fields, listOf, MEASURED, TEXT } from "../base/fields.js";
import type { QuantizedWeight } from "../quant/quantized-weight.js";

const QUANTIZED_LAYER = {
  name: TEXT,
  /** ‖W − dequantized‖ / ‖W‖, Frobenius norms. */
  relativeError: MEASURED,
  /** Largest absolute error of any element. */
  largestError: MEASURED,
};

/** One layer that was quantized. */
export interface QuantizedLayer extends Fields<typeof QUANTIZED_LAYER> {}

/** The fields of a {@link QuantizationError}. */
export const QUANTIZATION_ERROR = {
  /** ‖W − dequantized‖ / ‖W‖ over all layers, Frobenius norms. */
  relativeError: MEASURED,
  /** Bytes of the quantized weights with their scales. */
  bytes: COUNT,
  layers: listOf(QUANTIZED_LAYER),
};

/** The loss of precision when the layers of a model are quantized. */
export interface QuantizationError extends Fields<typeof QUANTIZATION_ERROR> {}

/** Sums up what quantizing the layers of a model loses. */
export class QuantizationTotal {
  readonly #layers: QuantizedLayer[] = [];
  #squares = 0;
  #errors = 0;
  #bytes = 0;

  /** @param exact the values that `weight` was quantized from. */
  add(layer: string, exact: Float32Array, weight: QuantizedWeight): void {
    const { squares, errors, largest } = quantizationError(exact, weight.values());
    this.#layers.push({ name: layer, relativeError: ratio(errors, squares), largestError: largest });
    this.#squares += squares;
    this.#errors += errors;
    this.#bytes += weight.byteLength;
  }

  get result(): QuantizationError {
    return { relativeError: ratio(this.#errors, this.#squares), bytes: this.#bytes, layers: this.#layers };
  }
}

/** The quotient of two norms from their squares; weights of nothing but zeros have no error. */
function ratio(errors: number, squares: number): number {
  return errors === 0 ? 0 : Math.sqrt(errors / squares);
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
