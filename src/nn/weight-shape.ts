import { ShapeError } from "../base/errors.js";
import { formatShape } from "../tensor/shape.js";
import { Parameter } from "./module.js";

/** @throws ShapeError unless a weight is a parameter of two axes. */
export function requireMatrix(where: string, weight: unknown): void {
  if (weight instanceof Parameter && weight.shape.length === 2) return;
  const got = weight instanceof Parameter ? `shape ${formatShape(weight.shape)}` : typeof weight;
  throw new ShapeError(`${where}: weight must be a parameter of two axes, got ${got}`);
}
