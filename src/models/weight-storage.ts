/** Layout of an architecture's weights in files that differ from the model in names or shapes. */
export interface WeightStorage {
  /** Name in the model of a tensor in a file; undefined for buffers, which hold no weights. */
  nameOf(stored: string): string | undefined;
  /**
   * True if files hold the float weight of this name as (inFeatures, outFeatures), like PEFT's fan_in_fan_out.
   * Quantized ones are (outFeatures, inFeatures) for every architecture.
   */
  isTransposed(weight: string): boolean;
}

/** Storage that agrees with the model. */
export const PLAIN_STORAGE: WeightStorage = { nameOf: (stored) => stored, isTransposed: () => false };
