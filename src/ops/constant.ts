import type { DType } from "../tensor/dtype.js";
import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";

/** A tensor, or a number that becomes a scalar of the other operand's dtype. */
export type Operand = Tensor | number;

/** A scalar known when the graph is built. */
export const constantOp: Op = {
  name: "constant",
  infer: (_, { dtype }) => ({ shape: [], dtype: dtype as DType }),
  vjp: () => [],
  reference: (y, _, { attributes }) => {
    y[0] = attributes.value as number;
  },
};

export function constant(value: number, dtype: DType = "float32"): Tensor {
  return applyOp(constantOp, [], { value, dtype });
}

export function asTensor(value: Operand, dtype: DType): Tensor {
  return typeof value === "number" ? constant(value, dtype) : value;
}

/** True if `x` is the scalar `value` by construction. */
export function isConstant(x: Tensor, value: number): boolean {
  return x.op === constantOp && x.attributes.value === value;
}

/** The value of `x` if it is a scalar by construction, else undefined. */
export function constantValue(x: Tensor): number | undefined {
  return x.op === constantOp ? (x.attributes.value as number) : undefined;
}
