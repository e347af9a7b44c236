import { ShapeError } from "../base/errors.js";
import type { HalfArray } from "../tensor/half-array.js";
import { formatShape, type Shape, sizeOf } from "../tensor/shape.js";
import { type DataSource, heldValues, lazySource, Tensor } from "../tensor/tensor.js";

/** A float32 leaf that training changes in place. Programs read its array when they run. */
export class Parameter extends Tensor {
  /** True if training may change it. Frozen parameters get no gradient and no optimizer state. */
  trainable: boolean;

  /**
   * @param data the values, or a function that makes them on first read.
   * @throws ShapeError if their number is wrong.
   */
  constructor(
    data: Float32Array | (() => Float32Array),
    shape: Shape,
    { trainable = true }: { trainable?: boolean } = {},
  ) {
    const checked = (values: Float32Array): Float32Array => {
      if (values.length === sizeOf(shape)) return values;
      throw new ShapeError(
        `Parameter: shape ${formatShape(shape)} holds ${sizeOf(shape)} elements, got ${values.length}`,
      );
    };
    const source = lazySource(() => checked((data as () => Float32Array)()));
    if (typeof data !== "function") source.array = checked(data);
    super({ shape, dtype: "float32" }, source);
    this.trainable = trainable;
  }

  /** The values, row-major; writing to the array changes the parameter. 16-bit floats are widened for good. */
  get values(): Float32Array {
    return this.#data.array as Float32Array;
  }

  /** The values, not to be written to. If they are held as 16-bit floats, this is a copy and they stay so. */
  read(): Float32Array {
    return heldValues(this.#data) as Float32Array;
  }

  /**
   * Holds the values of a parameter that is not trained as 16-bit floats, in half the memory.
   * @throws ShapeError if the length differs.
   */
  hold(half: HalfArray): void {
    this.#requireLength(half.bits);
    this.#data.half = half;
  }

  /** True if the values are held as 16-bit floats. */
  get isHalf(): boolean {
    return this.#data.half !== undefined;
  }

  /** Makes `values` the parameter's own array. @throws ShapeError if the length differs. */
  adopt(values: Float32Array): void {
    this.#requireLength(values);
    this.#data.array = values;
  }

  #requireLength(values: ArrayLike<number>): void {
    if (values.length === this.size) return;
    throw new ShapeError(
      `assign: parameter of shape ${formatShape(this.shape)} needs ${this.size} values, got ${values.length}`,
    );
  }

  get #data(): DataSource {
    return this.source as DataSource;
  }

  /** Copies `values` over the present ones. @throws ShapeError if the length differs. */
  assign(values: ArrayLike<number>): void {
    this.#requireLength(values);
    // Values that were never read need not be made first.
    if (this.#data.pending || this.isHalf) this.#data.array = Float32Array.from(values);
    else this.values.set(values);
  }
}

/**
 * A part of a model. Parameters and submodules are found by walking its properties and arrays, in declaration order.
 */
export abstract class Module {
  /** True if forward passes are for training (adapter dropout applies). Set with `setTraining`. */
  training = false;

  /** Name on disk of the parameter or module at `path`, such as `layers.0.attention.qProj`. Default: the path. */
  checkpointName(path: string): string {
    return path;
  }
}

/** Every parameter below `module` with its path, each tensor once. */
export function namedParameters(module: Module): Map<string, Parameter> {
  const found = new Map<string, Parameter>();
  const seen = new Set<Parameter>();
  walk(module, "", (path, value) => {
    if (value instanceof Parameter && !seen.has(value)) {
      seen.add(value);
      found.set(path, value);
    }
  });
  return found;
}

/** Parameters of `module` that training may change. */
export function trainableParameters(module: Module): Parameter[] {
  return [...namedParameters(module).values()].filter((parameter) => parameter.trainable);
}

/** A module inside another: its path, and a way to replace it. */
export interface ModuleSlot {
  readonly path: string;
  readonly module: Module;
  replace(module: Module): void;
}

/** Every module below `module`, itself excluded. */
export function moduleSlots(module: Module): ModuleSlot[] {
  const slots: ModuleSlot[] = [];
  walk(module, "", (path, value, replace) => {
    if (value instanceof Module) slots.push({ path, module: value, replace });
  });
  return slots;
}

/** Switches `module` and everything below it between training and evaluation. */
export function setTraining(module: Module, training: boolean): void {
  module.training = training;
  for (const slot of moduleSlots(module)) slot.module.training = training;
}

/** Number of elements of `parameters`. */
export function countElements(parameters: Iterable<Parameter>): number {
  let count = 0;
  for (const parameter of parameters) count += parameter.size;
  return count;
}

type Visit = (path: string, value: unknown, replace: (value: Module) => void) => void;

function walk(container: object, prefix: string, visit: Visit): void {
  for (const [key, value] of Object.entries(container)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    visit(path, value, (replacement) => {
      (container as Record<string, unknown>)[key] = replacement;
    });
    if (value instanceof Module || Array.isArray(value)) walk(value, path, visit);
  }
}
