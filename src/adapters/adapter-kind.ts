import type { Rng } from "../tensor/random.js";
import type { FrozenWeight } from "./frozen-weight.js";
import type { LinearAdapter } from "./linear-adapter.js";
import type { LoRAInitialization, LowRankOptions } from "./low-rank-adapter.js";

/** The settings of one layer's adapter. A kind reads those that mean something to it. */
export interface AdapterOptions extends Required<LowRankOptions> {
  readonly initialization: LoRAInitialization;
}

/** Names of settings that a kind of adapter may have no use for. */
export type AdapterSettingName =
  | ("rank" | "alpha" | "rslora" | "dropout" | "adapterInit" | "rankPattern" | "alphaPattern")
  | "loraPlusRatio";

/**
 * A kind of adapter that the setting `adapterKind` can name. All but `create` has a default that suits most classes.
 */
export interface AdapterKind {
  /**
   * Makes the adapter of one layer.
   * @param weight the weight under the adapter, (outFeatures, inFeatures), to be read when the model computes. It may
   * not be in memory before.
   */
  create(
    inFeatures: number,
    outFeatures: number,
    options: AdapterOptions,
    rng: Rng,
    weight: FrozenWeight,
  ): LinearAdapter;
  /** The parts that it trains, in words that follow its name in the help. */
  readonly summary?: string;
  /** The reason why ReLoRA cannot train it, as a clause. Absent: its cycles add up. */
  readonly noCycles?: string;
  /** True if it has `weakestDirections`, so that restartShare may be below 1. */
  readonly hasDirections?: boolean;
  /** True if it has `startNear`, which the merge policy residual asks for. */
  readonly startsNear?: boolean;
  /** True if it has a `gradientStart`, which looks at the batches of restartBatches. */
  readonly startsInGradients?: boolean;
  /** Settings that it does not read; their flags are refused with it. */
  readonly ignores?: readonly AdapterSettingName[];
}
