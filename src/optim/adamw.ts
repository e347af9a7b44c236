import { ShapeError } from "../base/errors.js";
import { type Gradient, readGradient } from "./gradient.js";

/** AdamW's state for one tensor: both moments, of the tensor's size, and the number of updates. */
export interface AdamWState {
  readonly expAvg: Float32Array;
  readonly expAvgSq: Float32Array;
  step: number;
}

/** Tensors by name that share a learning rate and a weight decay. They are updated in place. */
export interface ParameterGroup {
  readonly parameters: ReadonlyMap<string, Float32Array>;
  /** Peak learning rate of the group. */
  readonly lr: number;
  readonly weightDecay: number;
}

/** Updates one tensor in place and advances its step counter; `AdamWKernel` is a fast implementation. */
export interface UpdateKernel {
  update(parameter: Float32Array, gradient: Gradient, state: AdamWState, options: UpdateOptions): void | Promise<void>;
}

const PLAIN_LOOP: UpdateKernel = {
  update: (parameter, gradient, state, options) =>
    updateTensor(parameter, readGradient(gradient, 0, parameter.length), state, options),
};

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

export function createAdamWState(length: number): AdamWState {
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
  readonly #kernel: UpdateKernel;

  /**
   * @param known state to continue from; parameters missing from it start fresh, names that no group has are dropped.
   * @param kernel computes the updates; default: a plain loop.
   */
  constructor(
    groups: readonly ParameterGroup[],
    options: AdamWOptions,
    known?: ReadonlyMap<string, AdamWState>,
    kernel: UpdateKernel = PLAIN_LOOP,
  ) {
    this.groups = groups;
    this.#kernel = kernel;
    this.options = options;
    const state = new Map<string, AdamWState>();
    for (const { parameters } of groups) {
      for (const [name, parameter] of parameters) {
        const entry = known?.get(name) ?? createAdamWState(parameter.length);
        checkLength(`AdamW state of ${name}`, entry.expAvg.length, parameter.length);
        checkLength(`AdamW state of ${name}`, entry.expAvgSq.length, parameter.length);
        state.set(name, entry);
      }
    }
    this.state = state;
  }

  /**
   * Updates every parameter once.
   * @throws ShapeError, before anything changes, if a gradient is missing or differs from its parameter in size.
   */
  async step(
    gradients: ReadonlyMap<string, Gradient>,
    { lrMultiplier, gradientScale = 1 }: StepOptions,
  ): Promise<void> {
    for (const { parameters } of this.groups) {
      for (const [name, { length }] of parameters) {
        checkLength(`AdamW gradient of ${name}`, gradients.get(name)?.length ?? 0, length);
      }
    }
    for (const { parameters, lr, weightDecay } of this.groups) {
      for (const [name, parameter] of parameters) {
        const options = { ...this.options, lr: lr * lrMultiplier, weightDecay, gradientScale };
        await this.#kernel.update(parameter, gradients.get(name)!, this.state.get(name)!, options);
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

/** Updates one tensor in plain loops and advances the state's step counter. */
export function updateTensor(
  parameter: Float32Array,
  gradient: Float32Array,
  state: AdamWState,
  options: UpdateOptions,
): void {
  const { beta1, beta2, eps, lr, weightDecay, gradientScale } = options;
  const { expAvg, expAvgSq } = state;
  state.step++;
  const [fresh1, fresh2] = [1 - beta1, 1 - beta2];
  const keep = 1 - lr * weightDecay;
  const stepSize = lr / (1 - beta1 ** state.step);
  const rootCorrection = 1 / Math.sqrt(1 - beta2 ** state.step);
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i]! * gradientScale;
    const m = beta1 * expAvg[i]! + fresh1 * g;
    const v = beta2 * expAvgSq[i]! + fresh2 * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    parameter[i] = parameter[i]! * keep - (stepSize * m) / (Math.sqrt(v) * rootCorrection + eps);
  }
}

function checkLength(what: string, actual: number, expected: number): void {
  if (actual !== expected) throw new ShapeError(`${what}: must have ${expected} elements, got ${actual}`);
}
