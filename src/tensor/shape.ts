import { ShapeError } from "../base/errors.js";

/** Sizes of the axes, outermost first. `[]` is a scalar. */
export type Shape = readonly number[];

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** Formats a shape for messages: `(2, 3)`. */
export function formatShape(shape: Shape): string {
  return `(${shape.join(", ")})`;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/**
 * The common shape under NumPy broadcasting.
 * @throws ShapeError naming `where` if an axis differs and neither size is 1.
 */
export function broadcastShapes(where: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError(
        `${where}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast: sizes ${left} and ${right} differ`,
      );
    }
    return left === 1 ? right : left;
  });
}

/** Strides that read a tensor of `shape` as if it had been broadcast to `target`: 0 along repeated axes. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape);
  const offset = target.length - shape.length;
  return target.map((_, axis) => (axis < offset || shape[axis - offset] === 1 ? 0 : own[axis - offset]!));
}

/** Turns axes from -rank to rank-1 into sorted axes from 0. @throws ShapeError for one out of range or given twice. */
export function normalizeAxes(where: string, axes: readonly number[], rank: number): number[] {
  const normal = axes.map((axis) => {
    const index = axis < 0 ? axis + rank : axis;
    if (!Number.isInteger(index) || index < 0 || index >= rank) {
      throw new ShapeError(
        `${where}: axis must be from ${-rank} to ${rank - 1} for a tensor of rank ${rank}, got ${axis}`,
      );
    }
    return index;
  });
  if (new Set(normal).size !== normal.length) throw new ShapeError(`${where}: an axis is given twice in [${axes}]`);
  return normal.sort((a, b) => a - b);
}
