import { type Shape, sizeOf } from "../tensor/shape.js";

/** The number of directions that a share of an adapter of that rank has, at least one. */
export function directionsOf(share: number, rank: number): number {
  return Math.max(1, Math.round(share * rank));
}

/**
 * Indices of the entries of a row-major tensor that lie at these places along an axis, in the order of the slice that
 * they make up.
 */
export function* entriesAlong(shape: Shape, axis: number, places: readonly number[]): Generator<number, void> {
  const outer = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  for (let row = 0; row < outer; row++) {
    for (const place of places) {
      const start = (row * shape[axis]! + place) * inner;
      for (let i = 0; i < inner; i++) yield start + i;
    }
  }
}
