import { ShapeError } from "../base/errors.js";
import { allocate, type DType, type HostTensor, type TypedArray } from "./dtype.js";
import { type HalfArray, widen } from "./half-array.js";
import { formatShape, type Shape, sizeOf } from "./shape.js";

/** Numbers as a reference kernel sees them: float tensors may be run in float64 to check gradients. */
export type NumericArray = Float32Array | Float64Array | Int32Array | Int8Array | Uint8Array;

/** Shape and dtype of a tensor, without its values. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

export type AttributeValue = number | string | boolean | readonly number[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A primitive operation: everything the engine knows about it except how a device runs it. */
export interface Op {
  readonly name: string;
  /** Shape and dtype of the result. Called when the graph is built; throws ShapeError or DTypeError. */
  infer(inputs: readonly TensorSpec[], attributes: Attributes): TensorSpec;
  /** Gradients with respect to each input, given `dy` for the output; undefined for inputs without one (integers). */
  vjp?(dy: Tensor, inputs: readonly Tensor[], output: Tensor): readonly (Tensor | undefined)[];
  /** Plain loops: fills `y` from `inputs`. The oracle that devices are compared with. */
  reference(y: NumericArray, inputs: readonly NumericArray[], node: ReferenceNode): void;
}

/** Shapes and attributes of the node that a reference kernel computes. */
export interface ReferenceNode {
  readonly shape: Shape;
  readonly inputShapes: readonly Shape[];
  readonly attributes: Attributes;
}

/** A leaf that holds its own values. */
export interface DataSource {
  readonly kind: "data";
  /** The values. May be made on first read; values held as 16-bit floats are then widened for good. */
  array: TypedArray;
  /** True while no values are held yet. */
  readonly pending?: boolean;
  /** The values of a float32 leaf that is held as 16-bit floats. Programs compiled while it is set read these. */
  half?: HalfArray | undefined;
}

/** Source of a leaf's values: its own, or an array given by name at each run. */
export type Source = DataSource | { readonly kind: "placeholder"; readonly name: string };

/** Computes tensors. The runtime registers itself, so this layer need not know it. */
export type Evaluator = (tensors: readonly Tensor[]) => Promise<HostTensor[]>;

let evaluator: Evaluator | undefined;
let nextId = 0;

/** Sets the evaluator behind `Tensor.data()`. The runtime calls it when it is loaded. */
export function registerEvaluator(evaluate: Evaluator): void {
  evaluator = evaluate;
}

/**
 * A handle on a node of a lazily built graph: either a leaf, with a `source`, or an `op` applied to `inputs`.
 * Shapes are checked on construction; nothing is computed until `data()` or a compiled program asks for it.
 * A leaf is read when a program runs, so changing a Parameter changes what earlier expressions on it will give.
 */
export class Tensor {
  /** Increases with creation: inputs always have smaller ids than their results. */
  readonly id: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly op: Op | undefined;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly source: Source | undefined;
  /** Tensors to compute right after this one if a program needs them anyway; see `computeTogether`. */
  companions: readonly Tensor[] = [];

  constructor(spec: TensorSpec, origin: { op: Op; inputs: readonly Tensor[]; attributes: Attributes } | Source) {
    this.id = nextId++;
    this.shape = spec.shape;
    this.dtype = spec.dtype;
    if ("op" in origin) {
      this.op = origin.op;
      this.inputs = origin.inputs;
      this.attributes = origin.attributes;
      this.source = undefined;
    } else {
      this.op = undefined;
      this.inputs = [];
      this.attributes = {};
      this.source = origin;
    }
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /**
   * The values, row-major. A leaf returns its own array (no copy, unless it is held as 16-bit floats); other tensors
   * are computed now.
   */
  async data(): Promise<TypedArray> {
    if (this.source?.kind === "data") return heldValues(this.source);
    // A program that imports single folders of the package has no runtime yet.
    if (evaluator === undefined) await import("#runtime");
    if (evaluator === undefined) throw new Error("Tensor.data: the runtime has not registered itself");
    const [result] = await evaluator([this]);
    return result!.data;
  }

  /** The only element. @throws ShapeError if there is not exactly one. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item: tensor must have one element, has shape ${formatShape(this.shape)}`);
    return (await this.data())[0]!;
  }

  toString(): string {
    return `Tensor(${this.op?.name ?? this.source?.kind}, ${formatShape(this.shape)}, ${this.dtype})`;
  }
}

/** Applies `op`, inferring and checking the result's shape. */
export function applyOp(op: Op, inputs: readonly Tensor[], attributes: Attributes = {}): Tensor {
  return new Tensor(op.infer(inputs, attributes), { op, inputs, attributes });
}

/** A leaf that holds `data` (not copied). Plain number arrays become float32. @throws ShapeError if sizes disagree. */
export function tensor(data: TypedArray | readonly number[], shape?: Shape, dtype?: DType): Tensor {
  const type = dtype ?? dtypeOf(data);
  const array = Array.isArray(data) ? fill(type, data) : (data as TypedArray);
  const dims = shape ?? [array.length];
  if (sizeOf(dims) !== array.length) {
    throw new ShapeError(`tensor: shape ${formatShape(dims)} holds ${sizeOf(dims)} elements, got ${array.length}`);
  }
  return new Tensor({ shape: dims, dtype: type }, { kind: "data", array });
}

/**
 * A leaf's source whose array is made on first read, so a graph over it can be built before, or without, its memory.
 */
export function lazySource(make: () => TypedArray): DataSource {
  let array: TypedArray | undefined;
  let half: HalfArray | undefined;
  return {
    kind: "data",
    get array() {
      array ??= half === undefined ? make() : widen(half);
      half = undefined;
      return array;
    },
    set array(given) {
      array = given;
      half = undefined;
    },
    get pending() {
      return array === undefined && half === undefined;
    },
    get half() {
      return half;
    },
    set half(given) {
      half = given;
      array = undefined;
    },
  };
}

/** Values of a leaf, not to be written to. If they are held as 16-bit floats, this is a copy and they stay so. */
export function heldValues(source: DataSource): TypedArray {
  return source.half === undefined ? source.array : widen(source.half);
}

/** A leaf whose values are given by `name` at each run of a compiled program. */
export function placeholder(name: string, shape: Shape, dtype: DType = "float32"): Tensor {
  return new Tensor({ shape, dtype }, { kind: "placeholder", name });
}

/**
 * Asks for `companions` to be computed right after `anchor` in every program that needs them anyway, so that memory
 * they share can be freed before other work begins. A hint about order: values do not change.
 */
export function computeTogether(anchor: Tensor, companions: readonly Tensor[]): void {
  anchor.companions = companions;
}

function dtypeOf(data: TypedArray | readonly number[]): DType {
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Int8Array) return "int8";
  return data instanceof Uint8Array ? "uint8" : "float32";
}

function fill(dtype: DType, values: readonly number[]): TypedArray {
  const array = allocate(dtype, values.length);
  array.set(values);
  return array;
}
