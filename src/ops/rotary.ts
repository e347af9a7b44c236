import { ShapeError } from "../base/errors.js";
import { formatShape } from "../tensor/shape.js";
import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";
import { neg } from "./elementwise.js";

/**
 * Rotates pairs (i, i + headDim/2) of each head by the angles of its position: LLaMA's half-split layout. x
 * (batch, time, heads · headDim); cos and sin (time, headDim / 2).
 */
export const rotaryOp: Op = {
  name: "rotary",
  infer: ([x, cos, sin]) => {
    const [time, half] = cos!.shape as [number, number];
    const fits = x!.shape.length === 3 && x!.shape[1] === time && x!.shape[2]! % (2 * half) === 0;
    if (!fits || formatShape(sin!.shape) !== formatShape(cos!.shape)) {
      const got = [x!, cos!, sin!].map(({ shape }) => formatShape(shape)).join(", ");
      throw new ShapeError(
        `rotary: needs x (batch, time, heads · headDim), cos and sin (time, headDim / 2), got ${got}`,
      );
    }
    return x!;
  },
  // A rotation's transpose turns the other way. Angles are data, not parameters.
  vjp: (dy, [, cos, sin]) => [rotary(dy, cos!, neg(sin!)), undefined, undefined],
  reference: (y, [x, cos, sin], { shape, inputShapes }) => {
    const [batch, time, width] = shape as [number, number, number];
    const half = inputShapes[1]![1]!;
    for (let row = 0; row < batch * time; row++) {
      const position = row % time;
      for (let head = row * width; head < (row + 1) * width; head += 2 * half) {
        for (let i = 0; i < half; i++) {
          const [c, s] = [cos![position * half + i]!, sin![position * half + i]!];
          const [a, b] = [x![head + i]!, x![head + half + i]!];
          y[head + i] = a * c - b * s;
          y[head + half + i] = b * c + a * s;
        }
      }
    }
  },
};

/** Rotary position embedding (Su et al. 2021, arXiv:2104.09864), half-split layout; shapes as in `rotaryOp`. */
export function rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  return applyOp(rotaryOp, [x, cos, sin]);
}
