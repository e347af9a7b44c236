import { oneOf, requireArguments } from "../base/arguments.js";
import type { QuantizedWeight } from "../quant/quantized-weight.js";
import type { Rng } from "../tensor/random.js";

/**
 * The way in which one quantized weight takes up updates. A policy belongs to one layer: it may remember what
 * rounding lost.
 */
export interface MergePolicy {
  /** Lets `weight` take up ΔW = `update`, row-major. Draws from `rng` where rounding is random. */
  merge(weight: QuantizedWeight, update: Float32Array, rng: Rng): Promise<void>;
  /** The layer's weight in float32 by what the policy knows, row-major: what is saved as the model. */
  exactWeight(weight: QuantizedWeight): Promise<Float32Array>;
  /** As in the policy's {@link MergePolicyKind}. */
  readonly exactFrom: "log" | "layer";
  /** As in the policy's {@link MergePolicyKind}. */
  readonly startsFromResidual: boolean;
}

/** Gives a layer's weight in float32, every update merged so far included. */
export type MasterWeight = () => Promise<Float32Array>;

/**
 * Rounds the master weight, which holds every update in full: nothing is lost over merges, whatever is lost in the one
 * rounding of the sum. The master must already hold the update that is merged.
 */
export function deltaLog(master: MasterWeight): MergePolicy {
  return {
    merge: async (weight) => weight.assign(await master()),
    exactWeight: master,
    exactFrom: "log",
    startsFromResidual: false,
  };
}

/**
 * As `deltaLog`, and the next adapter starts near the difference that fresh rounding makes to what the layer
 * computes.
 */
export function residual(master: MasterWeight): MergePolicy {
  return { ...deltaLog(master), startsFromResidual: true };
}

/** Adds to the dequantized weight and rounds to nearest: updates below half a quantization step are lost. */
export function requantize(): MergePolicy {
  return {
    merge: async (weight, update) => weight.assign(addInto(update.slice(), weight.values())),
    exactWeight: async (weight) => weight.values(),
    exactFrom: "layer",
    startsFromResidual: false,
  };
}

/** As `requantize`, rounded up or down at random so that the mean is right (Gupta et al. 2015, arXiv:1502.02551). */
export function stochastic(): MergePolicy {
  return {
    ...requantize(),
    merge: async (weight, update, rng) => weight.assign(addInto(update.slice(), weight.values()), { stochastic: rng }),
  };
}

/**
 * As `requantize`, with what rounding lost kept in float32 and added the next time (Karimireddy et al. 2019,
 * arXiv:1901.09847).
 */
export function errorFeedback(): MergePolicy {
  let error: Float32Array | undefined;
  return {
    async merge(weight, update) {
      const target = addInto(update.slice(), weight.values());
      if (error !== undefined) addInto(target, error);
      weight.assign(target);
      const rounded = weight.values();
      for (let i = 0; i < target.length; i++) target[i]! -= rounded[i]!;
      error = target;
    },
    exactWeight: async (weight) => (error === undefined ? weight.values() : addInto(weight.values(), error)),
    exactFrom: "layer",
    startsFromResidual: false,
  };
}

/** A way to merge into quantized weights: how a layer gets it, and what the rest of a run must know of it. */
export interface MergePolicyKind {
  readonly create: (master: MasterWeight) => MergePolicy;
  /** Source of the exact weights of a run: the delta log on its base, or the layers themselves. */
  readonly exactFrom: "log" | "layer";
  /** True if the next adapter starts near what rounding took away, instead of at zero. */
  readonly startsFromResidual: boolean;
  /** True if each layer keeps what rounding lost, in float32. */
  readonly carriesError: boolean;
}

/** Every policy by its name in settings. */
export const MERGE_POLICY_KINDS = {
  "delta-log": { create: deltaLog, exactFrom: "log", startsFromResidual: false, carriesError: false },
  residual: { create: residual, exactFrom: "log", startsFromResidual: true, carriesError: false },
  "error-feedback": { create: errorFeedback, exactFrom: "layer", startsFromResidual: false, carriesError: true },
  stochastic: { create: stochastic, exactFrom: "layer", startsFromResidual: false, carriesError: false },
  requantize: { create: requantize, exactFrom: "layer", startsFromResidual: false, carriesError: false },
} as const satisfies Readonly<Record<string, MergePolicyKind>>;

export type MergePolicyName = keyof typeof MERGE_POLICY_KINDS;

export const MERGE_POLICIES: readonly MergePolicyName[] = Object.keys(MERGE_POLICY_KINDS) as MergePolicyName[];

/**
 * Why base and adapter of a run on quantized weights are not its model, in words; null where they are, as with the
 * policies whose exact weights come from the delta log.
 */
export function lostInAdapter(policy: MergePolicyName, quantizer: string | null): string | null {
  return quantizer === null || MERGE_POLICY_KINDS[policy].exactFrom === "log"
    ? null
    : `with merge policy ${policy} rounding is part of the weights, and an adapter holds the updates from before it, ` +
        "so on its base it computes another model than the run";
}

/** The policy of that name for one layer. */
export function createMergePolicy(name: MergePolicyName, master: MasterWeight): MergePolicy {
  requireArguments("createMergePolicy", { name: oneOf(MERGE_POLICIES) }, { name });
  return MERGE_POLICY_KINDS[name].create(master);
}

function addInto(target: Float32Array, values: Float32Array): Float32Array {
  for (let i = 0; i < target.length; i++) target[i]! += values[i]!;
  return target;
}
