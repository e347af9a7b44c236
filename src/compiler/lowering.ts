import type { PrimitiveName } from "../ops/primitives.js";
import type { HalfArray } from "../tensor/half-array.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Emitter } from "./emitter.js";
import type { Product } from "./fuse.js";

/** The graph around a node, as its lowering sees it. */
export interface LoweringContext {
  readonly emitter: Emitter;
  /** Name under which a tensor's values are available. */
  nameOf(tensor: Tensor): string;
  /** The tensor as a leaf held as 16-bit floats; undefined for others. */
  halfLeaf(tensor: Tensor): HalfLeaf | undefined;
  /** Names of values that one node's kernel computed on the side for others, by a key that describes them. */
  readonly byproducts: Map<string, string>;
}

/** Emits one primitive and returns the name of its result. */
export type Lowering = (node: Tensor, context: LoweringContext) => string;

/** An execution provider's way to run the primitives. */
export interface Profile {
  readonly primitives: Readonly<Record<PrimitiveName, Lowering>>;
  product(product: Product, node: Tensor, context: LoweringContext): string;
}

/** A leaf held as 16-bit floats. */
export interface HalfLeaf extends Pick<HalfArray, "format" | "scale"> {
  readonly tensor: Tensor;
  /** Name of the model's input for its bits, or for those of some of its rows. */
  input(rows?: RowRange): string;
}

/** Rows of a matrix, the end excluded. */
export type RowRange = readonly [start: number, end: number];
