import type { Shape } from "../tensor/shape.js";
import { sizeOf, stridesOf } from "../tensor/shape.js";
import type { Writable } from "./movement.js";

/** y (contiguous, of `shape`) from x read with `strides` starting at `offset`. */
export function copyStrided(
  y: Writable,
  x: ArrayLike<number>,
  shape: Shape,
  strides: readonly number[],
  offset: number,
): void {
  forEachOffset(shape, strides, offset, (from, to) => {
    y[to] = x[from]!;
  });
}

/** Visits each contiguous index with the offset that other strides give it. */
export function forEachOffset(
  shape: Shape,
  strides: readonly number[],
  offset: number,
  visit: (strided: number, contiguous: number) => void,
): void {
  const own = stridesOf(shape);
  const size = sizeOf(shape);
  for (let i = 0; i < size; i++) {
    let at = offset;
    for (let axis = 0; axis < shape.length; axis++) at += (Math.floor(i / own[axis]!) % shape[axis]!) * strides[axis]!;
    visit(at, i);
  }
}
