import {
  BELOW_ONE,
  FINITE,
  FROM_ZERO,
  type Kind,
  listOf,
  MAP,
  NOT_NEGATIVE,
  OBJECT,
  requireArguments,
  requireEach,
} from "../base/arguments.js";
import { ConfigError, ShapeError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { kernels } from "../kernels/kernels.js";
import { copyGradient, type Gradient } from "./gradient.js";

/** Elements updated at once: four arrays of them fit in the second-level cache of a core. */
const CHUNK = 8192;
const BYTES = 4 * CHUNK;

/** AdamW's state for one tensor: both moments, of the tensor's size, and the number of updates. */
export interface AdamWState {
  readonly expAvg: Float32Array;
  readonly expAvgSq: Float32Array;
  step: number;
}

/** Tensors by name that share a learning rate and a weight decay. They are updated in place. */
export interface ParameterGroup {
  /** What records call the learning rate; the same in groups that share one. Default: the group is in no record. */
  readonly name?: string;
  readonly parameters: ReadonlyMap<string, Float32Array>;
  /** Peak learning rate of the group. */
  readonly lr: number;
  readonly weightDecay: number;
}

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

export interface StepOptions {
  /** Value of the schedule, common to all groups. */
  readonly lrMultiplier: number;
  /** Factor of each gradient before use: the clipping coefficient. Default 1. */
  readonly gradientScale?: number;
}

const GROUP: Kind = {
  words: "an object whose parameters are a Map",
  holds: (value) => isObject(value) && MAP.holds(value.parameters),
};

/** @throws ConfigError unless the length is an integer of at least 0. */
export function createAdamWState(length: number): AdamWState {
  requireArguments("createAdamWState", { length: FROM_ZERO }, { length });
  return { expAvg: new Float32Array(length), expAvgSq: new Float32Array(length), step: 0 };
}

/**
 * AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2) with PyTorch's order of operations. Bias correction
 * uses each tensor's own step counter, so that a tensor whose state is reset starts like a new one.
 */
export class AdamW {
  readonly groups: readonly ParameterGroup[];
  readonly options: AdamWOptions;
  /** One entry per parameter of the groups. */
  readonly state: ReadonlyMap<string, AdamWState>;

  /**
   * @param known state to continue from; parameters missing from it start fresh, names that no group has are dropped.
   * @throws ConfigError unless both betas are in [0, 1), and eps, the rates and decays finite and not negative, and for
   * a name in two groups;
   * ShapeError for state of another size.
   */
  constructor(groups: readonly ParameterGroup[], options: AdamWOptions, known?: ReadonlyMap<string, AdamWState>) {
    requireArguments("AdamW", { groups: listOf(GROUP), options: OBJECT }, { groups, options });
    const { beta1, beta2, eps } = options;
    requireEach("AdamW", BELOW_ONE, { beta1, beta2 });
    requireEach("AdamW", NOT_NEGATIVE, { eps });
    for (const { lr, weightDecay } of groups) requireEach("AdamW", NOT_NEGATIVE, { lr, weightDecay });
    this.groups = groups;
    this.options = options;
    const state = new Map<string, AdamWState>();
    for (const { parameters } of groups) {
      for (const [name, parameter] of parameters) {
        if (state.has(name))
          throw new ConfigError(`AdamW: "${name}" is in two groups; give each tensor a name of its own`);
        const entry = known?.get(name) ?? createAdamWState(parameter.length);
        checkLength(`AdamW state of ${name}`, entry.expAvg.length, parameter.length);
        checkLength(`AdamW state of ${name}`, entry.expAvgSq.length, parameter.length);
        state.set(name, entry);
      }
    }
    this.state = state;
  }

  /** The learning rates of the named groups that have parameters, by name. @param lrMultiplier as in `step`. */
  learningRates(lrMultiplier: number): Record<string, number> {
    const named = this.groups.filter(({ name, parameters }) => name !== undefined && parameters.size > 0);
    return Object.fromEntries(named.map(({ name, lr }) => [name!, lr * lrMultiplier]));
  }

  /**
   * Updates every parameter once.
   * @throws ShapeError, before anything changes, if a gradient is missing or differs from its parameter in size;
   * ConfigError for a factor that is not finite.
   */
  step(gradients: ReadonlyMap<string, Gradient>, options: StepOptions): void {
    requireArguments("AdamW.step", { gradients: MAP, options: OBJECT }, { gradients, options });
    const { lrMultiplier, gradientScale = 1 } = options;
    requireEach("AdamW", FINITE, { lrMultiplier, gradientScale });
    for (const { parameters } of this.groups) {
      for (const [name, { length }] of parameters) {
        checkLength(`AdamW gradient of ${name}`, gradients.get(name)?.length ?? 0, length);
      }
    }
    for (const { parameters, lr, weightDecay } of this.groups) {
      for (const [name, parameter] of parameters) {
        const update = { ...this.options, lr: lr * lrMultiplier, weightDecay, gradientScale };
        updateTensor(parameter, gradients.get(name)!, this.state.get(name)!, update);
      }
    }
  }
}

/** Everything that the update of one tensor depends on, apart from its own arrays. */
export interface UpdateOptions extends AdamWOptions {
  readonly lr: number;
  readonly weightDecay: number;
  readonly gradientScale: number;
}

/** Updates one tensor in place, in float32, and advances the state's step counter. */
export function updateTensor(
  parameter: Float32Array,
  gradient: Gradient,
  state: AdamWState,
  { beta1, beta2, eps, lr, weightDecay, gradientScale }: UpdateOptions,
): void {
  state.step++;
  const bias1 = 1 - beta1 ** state.step;
  const root = bias1 / Math.sqrt(1 - beta2 ** state.step);
  // Above 0 in float32 too, so that a weight without gradients does not move by 0 / 0.
  const shift = Math.max(eps * bias1, 2 ** -126);
  const [fresh1, fresh2, decay] = [1 - beta1, 1 - beta2, lr * weightDecay];
  const { memory, adamw } = kernels(4 * BYTES);
  for (let start = 0; start < parameter.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, parameter.length);
    const inPlace = [parameter, state.expAvg, state.expAvgSq].map((array) => array.subarray(start, end));
    const copies = inPlace.map((_, i) => new Float32Array(memory.buffer, i * BYTES, end - start));
    for (const [i, copy] of copies.entries()) copy.set(inPlace[i]!);
    copyGradient(gradient, start, new Float32Array(memory.buffer, 3 * BYTES, end - start));
    const [p, last, g, m, v] = [0, 4 * (end - start), 3 * BYTES, BYTES, 2 * BYTES];
    adamw(p, last, g, m, v, gradientScale, fresh1, fresh2, root, shift, lr, decay);
    for (const [i, copy] of copies.entries()) inPlace[i]!.set(copy);
  }
}

function checkLength(what: string, actual: number, expected: number): void {
  if (actual !== expected) throw new ShapeError(`${what}: must have ${expected} elements, got ${actual}`);
}
