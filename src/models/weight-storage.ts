/** How the files of an architecture hold its weights, where they differ from the model in names or shapes. */
export interface WeightStorage {
  /** What the model calls a tensor of a file; undefined for buffers, which hold no weights. */
  nameOf(stored: string): string | undefined;
  /**
   * Whether files hold the float weight of this name as (inFeatures, outFeatures), as PEFT's fan_in_fan_out says. Quantized ones
   * are (outFeatures, inFeatures) for every architecture.
   */
  isTransposed(weight: string): boolean;
}

/** Files and model agree. */
export const PLAIN_STORAGE: WeightStorage = { nameOf: (stored) => stored, isTransposed: () => false };
