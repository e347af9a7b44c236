import type { Tensor } from "../tensor/tensor.js";
import {
  COMMON_PRIMITIVES,
  composeInverseRms,
  dequantizedFourBit,
  emitReduction,
  fourBitProduct,
  shapeOfWeight,
  valuesOf,
} from "./lower-common.js";
import { halfProduct } from "./lower-half.js";
import type { Profile } from "./lowering.js";
import { emitFastProduct } from "./product-cpu.js";
import { addsInOneOrder } from "./summation-order.js";

/** x Wᵀ, as computed by linear layers and the kernel for 4-bit weights. */
const LINEAR = { transposeA: false, transposeB: true, alpha: 1 } as const;

/** Key of the inverse root mean square that the norm kernel computes beside its result. */
const inverseRmsKey = (x: string, node: Tensor) => `inverseRms ${x} ${node.attributes.epsilon}`;

/** True if the axes are the first or the last of those with more than one element. */
function isAtOneEnd(axes: readonly number[], { shape }: Tensor): boolean {
  const reduced = shape.flatMap((size, axis) => (size === 1 ? [] : [axes.includes(axis)]));
  return reduced.filter((isReduced, i) => i > 0 && isReduced !== reduced[i - 1]).length <= 1;
}

/** ONNX Runtime's CPU provider. All that is not a product has the same bits for any number of threads anyway. */
export const CPU_PROFILE: Profile = {
  product: (product, _node, context) =>
    halfProduct(product, context) ?? emitFastProduct(valuesOf(product, context), context.emitter),
  primitives: {
    ...COMMON_PRIMITIVES,
    inverseRms: (node, context) =>
      context.byproducts.get(inverseRmsKey(context.nameOf(node.inputs[0]!), node)) ?? composeInverseRms(node, context),
    // Log uses another routine for the last elements of a thread's share. ReduceLogSum over one element treats all
    // alike.
    log: (node, { emitter, nameOf }) => {
      const column = emitter.reshape(nameOf(node.inputs[0]!), [node.size, 1]);
      return emitter.reshape(emitReduction("ReduceLogSum", column, [1], emitter), node.shape);
    },
    matmulFourBit: (node, context) => {
      const [input] = node.inputs as [Tensor];
      const x = { name: context.nameOf(input), shape: input.shape };
      const shape = shapeOfWeight(node);
      const [[columns, inner], rows] = [shape, input.shape[0]!];
      const isInOrder = addsInOneOrder({ rows, columns, inner, matrices: 1, ...LINEAR });
      if (isInOrder || !context.emitter.deterministic) return fourBitProduct(x, shape, node, context);
      const weight = { name: dequantizedFourBit(shape, node, context), shape };
      return emitFastProduct({ a: x, b: weight, ...LINEAR }, context.emitter);
    },
    rmsNorm: (node, { emitter, nameOf, byproducts }) => {
      const [x, weight] = node.inputs.map(nameOf) as [string, string];
      const outputs = [emitter.freshName(), emitter.freshName()];
      byproducts.set(inverseRmsKey(x, node), outputs[1]!);
      return emitter.emit("SimplifiedLayerNormalization", [x, weight], {
        outputs,
        attributes: { axis: { int: -1 }, epsilon: { float: node.attributes.epsilon as number } },
      });
    },
    // For axes between others, the number of threads decides which of two kernels adds them up.
    sum: (node, { emitter, nameOf }) => {
      const [x] = node.inputs as [Tensor];
      const axes = node.attributes.axes as number[];
      if (isAtOneEnd(axes, x)) return emitReduction("ReduceSum", nameOf(x), axes, emitter);
      const kept = x.shape.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]));
      const moved = emitter.emit("Transpose", [nameOf(x)], { attributes: { perm: { ints: [...kept, ...axes] } } });
      const last = axes.map((_, i) => kept.length + i);
      return emitter.reshape(emitReduction("ReduceSum", moved, last, emitter), node.shape);
    },
  },
};
