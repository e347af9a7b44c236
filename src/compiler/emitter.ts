import type { DType } from "../tensor/dtype.js";
import type { Shape } from "../tensor/shape.js";
import type { DynamicSizes } from "./dynamic-sizes.js";
import {
  int64Initializer,
  type OnnxAttribute,
  type OnnxData,
  type OnnxInitializer,
  type OnnxNode,
} from "./onnx-model.js";

export interface EmitOptions {
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** Operator domain; default ONNX itself. */
  readonly domain?: string;
  /** Names of all outputs, for operators with more than one. */
  readonly outputs?: readonly string[];
  /** Shape of the first output, in float32, if it is neither a tensor of the graph nor as large as an input. */
  readonly shape?: Shape | undefined;
}

/** Collects the nodes and constants of a model while a graph is lowered. */
export class Emitter {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: Map<string, OnnxInitializer> = new Map();
  /** Shapes given with the nodes, by the name of the value. */
  readonly shapes: Map<string, Shape> = new Map();
  /** True if results are to have the same bits for any number of threads. */
  readonly deterministic: boolean;
  readonly #sizes: DynamicSizes | undefined;
  /** Names of integer lists that the model computes from sizes, by their content. */
  readonly #computed: Map<string, string> = new Map();
  /** Source of each reshaped value. */
  readonly #reshaped: Map<string, string> = new Map();
  #nextName = 0;

  /** @param sizes dynamic sizes; each must be available as `sizeName(name)`. */
  constructor(sizes?: DynamicSizes, deterministic = true) {
    this.#sizes = sizes;
    this.deterministic = deterministic;
  }

  /** Adds a node and returns the name of its first output. */
  emit(opType: string, inputs: readonly string[], options: EmitOptions = {}): string {
    const { attributes, domain, outputs = [this.freshName()], shape } = options;
    if (shape !== undefined) this.shapes.set(outputs[0]!, shape);
    this.nodes.push({
      opType,
      inputs,
      outputs,
      ...(attributes !== undefined && { attributes }),
      ...(domain !== undefined && { domain }),
    });
    return outputs[0]!;
  }

  freshName(): string {
    return `%${this.#nextName++}`;
  }

  /** True if the size is dynamic. */
  isDynamic(size: number): boolean {
    return this.#sizes?.has(size) ?? false;
  }

  /** The name of an int64 list: axes, shapes, indices. */
  integers(values: readonly number[]): string {
    const declared = this.#sizes?.declare(values) ?? values;
    if (declared.some((value) => typeof value === "string")) {
      return this.#compute(declared.join(), () => {
        const parts = values.map((value) => this.#size(value));
        return parts.length === 1 ? parts[0]! : this.emit("Concat", parts, { attributes: { axis: { int: 0 } } });
      });
    }
    const name = `%i64[${values}]`;
    if (!this.initializers.has(name)) this.initializers.set(name, int64Initializer(name, values));
    return name;
  }

  /** One size as a list. */
  #size(value: number): string {
    const { fixed, names } = this.#sizes!.factor(value);
    if (names.length === 0) return this.integers([value]);
    const factors = [...names.map(sizeName), ...(fixed === 1 ? [] : [this.integers([fixed])])];
    return this.#compute(`${fixed} * ${names.join(" * ")}`, () =>
      factors.reduce((product, factor) => this.emit("Mul", [product, factor])),
    );
  }

  #compute(what: string, emit: () => string): string {
    const name = this.#computed.get(what) ?? emit();
    this.#computed.set(what, name);
    return name;
  }

  scalar(value: number, dtype: DType = "float32"): string {
    const name = `%${dtype}(${Object.is(value, -0) ? "-0" : value})`;
    if (!this.initializers.has(name))
      this.initializers.set(name, { name, dtype, shape: [], data: scalarData(value, dtype) });
    return name;
  }

  /** `x` under another shape: the same memory. */
  reshape(x: string, shape: readonly number[]): string {
    const source = this.#reshaped.get(x) ?? x;
    const result = this.emit("Reshape", [source, this.integers(shape)], { attributes: { allowzero: { int: 1 } } });
    this.#reshaped.set(result, source);
    return result;
  }
}

/** Name of the value, an int64 list of one element, that must hold a dynamic size. */
export function sizeName(size: string): string {
  return `%size:${size}`;
}

function scalarData(value: number, dtype: DType): OnnxData {
  if (dtype === "float32") return Float32Array.of(value);
  if (dtype === "int32") return Int32Array.of(value);
  return dtype === "int8" ? Int8Array.of(value) : Uint8Array.of(value);
}
