import { ConfigError, ShapeError } from "../base/errors.js";
import { type CompiledGraph, compileGraph, PROFILES } from "../compiler/compile.js";
import type { DynamicSizes } from "../compiler/dynamic-sizes.js";
import { FED_AS } from "../compiler/lower-half.js";
import { encodeModel } from "../compiler/onnx-model.js";
import { sizedGraph } from "../compiler/sized-graph.js";
import type { HostTensor, TypedArray } from "../tensor/dtype.js";
import { formatShape, type Shape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { createSession, type FedTensor, type OrtSession, type SessionOptions } from "./session.js";

/** Values for placeholders by name, row-major. */
export type Feeds = Readonly<Record<string, TypedArray>>;

/** Dynamic sizes by name. */
export type Sizes = Readonly<Record<string, number>>;

/**
 * A graph compiled for a device, to be run any number of times and released once. Data leaves are read anew at each
 * run.
 */
export class Program {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly #compiled: Pick<CompiledGraph, "leaves" | "halves">;
  readonly #session: OrtSession;
  readonly #sizes: DynamicSizes | undefined;
  readonly #parts: WeakMap<Uint16Array, Map<string, Uint16Array>> = new WeakMap();

  private constructor(
    outputs: Readonly<Record<string, Tensor>>,
    compiled: Pick<CompiledGraph, "leaves" | "halves">,
    session: OrtSession,
    sizes: DynamicSizes | undefined,
  ) {
    this.outputs = outputs;
    this.#compiled = compiled;
    this.#session = session;
    this.#sizes = sizes;
  }

  /**
   * Compiles the graph that `outputs` depend on. Must be released.
   * @param sizes dynamic sizes; each is an axis of a placeholder.
   * @throws DeviceError if the device refuses it.
   */
  static async compile(
    outputs: Readonly<Record<string, Tensor>>,
    options: SessionOptions,
    sizes?: DynamicSizes,
  ): Promise<Program> {
    const { device, deterministic = true } = options;
    const compiled = compileGraph(outputs, PROFILES[device], { deterministic, ...(sizes && { sizes }) });
    const { graph, leaves, halves, encoding } = compiled;
    const model = encodeModel(sizes === undefined ? graph : sizedGraph(graph, sizes), encoding);
    return new Program(outputs, { leaves, halves }, await createSession(model, options), sizes);
  }

  /**
   * Computes all outputs into new arrays.
   * @param sizes by name, if some are dynamic.
   * @throws ConfigError or ShapeError if `feeds` do not fit the placeholders.
   */
  run(feeds: Feeds = {}, sizes: Sizes = {}): Promise<Record<string, HostTensor>> {
    return this.#session.run(this.#bind(feeds, sizes), Object.keys(this.outputs));
  }

  /**
   * Computes all outputs into `targets`. A target may be the very array that is fed if every reader of that feed is an
   * ancestor of the output, as in the in-place update of an optimizer.
   */
  async runInto(feeds: Feeds, targets: Feeds): Promise<void> {
    const outputs = Object.entries(this.outputs).map(([name, { dtype, shape }]) => {
      const data = targets[name];
      if (data === undefined) throw new ConfigError(`Program.runInto: no array for output "${name}"`);
      return [name, { dtype, shape, data }] as const;
    });
    await this.#session.runInto(this.#bind(feeds), Object.fromEntries(outputs));
  }

  release(): Promise<void> {
    return this.#session.release();
  }

  /** Bits of an input: the same array object in each run, so that the session recognizes it. */
  #part(input: string, bits: Uint16Array, [start, end]: readonly [number, number]): Uint16Array {
    const parts = this.#parts.get(bits) ?? new Map<string, Uint16Array>();
    this.#parts.set(bits, parts);
    const part = parts.get(input) ?? bits.subarray(start, end);
    parts.set(input, part);
    return part;
  }

  #bind(feeds: Feeds, sizes: Sizes = {}): Record<string, FedTensor> {
    const bound: Record<string, FedTensor> = {};
    const { leaves, halves } = this.#compiled;
    for (const [input, { tensor, format, scale, elements, shape }] of halves) {
      const half = tensor.source?.kind === "data" ? tensor.source.half : undefined;
      if (half?.format !== format || half.scale !== scale) {
        throw new Error(`Program: ${tensor} is no longer held as it was when the program was compiled`);
      }
      bound[input] = { dtype: FED_AS[format], shape, data: this.#part(input, half.bits, elements) };
    }
    for (const [input, leaf] of leaves) {
      const { source, dtype } = leaf;
      const shape = this.#sizes?.resolve(leaf.shape, sizes) ?? leaf.shape;
      const data = source?.kind === "data" ? source.array : feeds[source!.name];
      if (data?.length !== sizeOf(shape)) throw misfit(leaf, shape, data);
      bound[input] = { dtype, shape, data };
    }
    return bound;
  }
}

function misfit({ source }: Tensor, shape: Shape, data: TypedArray | undefined): Error {
  const name = source?.kind === "data" ? "data leaf" : `placeholder "${source?.name}"`;
  if (data === undefined) return new ConfigError(`Program: no values for ${name} ${formatShape(shape)}`);
  return new ShapeError(
    `Program: ${name} of shape ${formatShape(shape)} needs ${sizeOf(shape)} values, got ${data.length}`,
  );
}
