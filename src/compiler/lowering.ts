import type { PrimitiveName } from "../ops/primitives.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Emitter } from "./emitter.js";
import type { Product } from "./fuse.js";
import type { HalfLeaf } from "./lower-half.js";

/** What a lowering may ask of the graph around the node that it writes. */
export interface LoweringContext {
  readonly emitter: Emitter;
  /** The name under which a tensor's values are available. */
  nameOf(tensor: Tensor): string;
  /** The tensor as a leaf that is held as 16-bit floats; undefined for others. */
  halfLeaf(tensor: Tensor): HalfLeaf | undefined;
  /** Values that one node's kernel computed on the side for others, by a key that says what they are. */
  readonly byproducts: Map<string, string>;
}

/** Writes one primitive and gives the name of its result. */
export type Lowering = (node: Tensor, context: LoweringContext) => string;

/** How an execution provider runs the primitives. */
export interface Profile {
  readonly primitives: Readonly<Record<PrimitiveName, Lowering>>;
  product(product: Product, node: Tensor, context: LoweringContext): string;
}
