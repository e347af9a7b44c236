/** Layout of an architecture's weights in files that differ from the model in names or shapes. */
export interface WeightStorage {
  /** Name in the model of a tensor in a file; undefined for buffers, which hold no weights. */
  nameOf(stored: string): string | undefined;
  /**
   * True if files hold the float weight of this name as (inFeatures, outFeatures), like PEFT's fan_in_fan_out.
   * Quantized ones are (outFeatures, inFeatures) for every architecture.
   */
  isTransposed(weight: string): boolean;
  /** Modules that transformers, and so PEFT's files, name otherwise than the model: their names there, by ours. */
  readonly inTransformers?: ReadonlyMap<string, string>;
}

/**
 * Names in the model of tensors in files of the model without its head, whose names lack the prefix, and in those of a
 * model within another, whose names have it once too often. transformers reads both.
 * @param children what has the prefix in the model.
 */
export function prefixed(prefix: string, children: readonly string[], head: string): (stored: string) => string {
  const bare = new RegExp(`^(${children.join("|")})\\.`);
  const doubled = new RegExp(`^${prefix}\\.(${prefix}|${head})\\.`);
  return (stored) =>
    bare.test(stored) ? `${prefix}.${stored}` : doubled.test(stored) ? stored.slice(prefix.length + 1) : stored;
}

/** Storage that agrees with the model. */
export const PLAIN_STORAGE: WeightStorage = { nameOf: (stored) => stored, isTransposed: () => false };
