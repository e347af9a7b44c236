import type { Rng } from "../tensor/random.js";
import { type Shape, sizeOf } from "../tensor/shape.js";

// Values for a tensor of `shape`; for matrices that is (fanOut, fanIn).

/** Uniform on [−bound, bound]. */
export function uniform(shape: Shape, bound: number, rng: Rng): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = (2 * rng.uniform() - 1) * bound;
  return values;
}

/** Normal with mean 0. */
export function normal(shape: Shape, standardDeviation: number, rng: Rng): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = rng.normal() * standardDeviation;
  return values;
}

/** Xavier uniform: bound √(6 / (fanIn + fanOut)) (Glorot & Bengio 2010). */
export function xavierUniform(shape: Shape, rng: Rng): Float32Array {
  const [fanOut, fanIn] = shape as [number, number];
  return uniform(shape, Math.sqrt(6 / (fanIn + fanOut)), rng);
}

/** Kaiming uniform with a = √5, a bound of 1 / √fanIn (He et al. 2015). PEFT draws loraA from it. */
export function kaimingUniform(shape: Shape, rng: Rng): Float32Array {
  return uniform(shape, 1 / Math.sqrt(shape[1]!), rng);
}
