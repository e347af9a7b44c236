import { availableMemoryBytes } from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { formatBytes } from "../base/numbers.js";
import type { LoadOptions, TargetOptions } from "./target.js";

/** The way in which a model that only computes holds weights of fewer bits than float32; all may be left out. */
export interface HoldingOptions {
  /** Hold them in float32 whatever memory is at hand. Default false. */
  readonly float32?: boolean;
  /**
   * Hold them as the files do, which is slower and takes less memory. Default false: in float32, where that takes no
   * more than half of the memory at hand.
   */
  readonly keepQuantized?: boolean;
}

/** Share of the memory at hand that widened weights may take. */
const LARGEST_SHARE = 1 / 2;

/**
 * Decides whether weights are widened, and tells the choice.
 * @throws ConfigError for both options at once.
 */
export function holding(
  { float32 = false, keepQuantized = false }: HoldingOptions,
  { device, onNotice }: Pick<TargetOptions, "device" | "onNotice">,
  available: () => number = availableMemoryBytes,
): { readonly widens: NonNullable<LoadOptions["widens"]> } {
  if (float32 && keepQuantized)
    throw new ConfigError(`${optionName("float32")} widens what ${optionName("keepQuantized")} keeps; leave one out`);
  const widens = (bytes: number): boolean => {
    if (float32 || keepQuantized) return float32;
    // Other devices have memory of their own.
    if (device !== "cpu") return false;
    const most = LARGEST_SHARE * available();
    const size = formatBytes(bytes);
    if (bytes <= most) {
      onNotice?.(`Weights held in float32 (${size}), which is fastest; ${optionName("keepQuantized")} saves memory.`);
      return true;
    }
    onNotice?.(
      `Weights held as they are stored: in float32 they take ${size}, and ${formatBytes(most)} are at hand; ` +
        `${optionName("float32")} widens them all the same.`,
    );
    return false;
  };
  return { widens };
}
