import type { Tensor } from "../tensor/tensor.js";
import {
  COMMON_PRIMITIVES,
  composeInverseRms,
  direct,
  fourBitProduct,
  reduction,
  shapeOfWeight,
  standardProduct,
} from "./lower-common.js";
import type { Profile } from "./lowering.js";

/** ONNX Runtime's WebGPU provider. Uses only operators that it has kernels for, so that nothing moves to the CPU. */
export const WEBGPU_PROFILE: Profile = {
  // Without FusedMatMul, which this provider hands to the CPU.
  product: standardProduct,
  primitives: {
    ...COMMON_PRIMITIVES,
    // Its Slice takes no integers, which labels are; its Gather does.
    slice: (node, context) => {
      if (node.dtype !== "int32") return COMMON_PRIMITIVES.slice(node, context);
      const { axis, start } = node.attributes as { axis: number; start: number };
      const indices = Array.from({ length: node.shape[axis]! }, (_, i) => start + i);
      return context.emitter.emit("Gather", [context.nameOf(node.inputs[0]!), context.emitter.integers(indices)], {
        attributes: { axis: { int: axis } },
      });
    },
    // The second output of SimplifiedLayerNormalization is another quantity here, so the gradient computes its own.
    inverseRms: composeInverseRms,
    log: direct("Log"),
    matmulFourBit: (node, context) => {
      const [x] = node.inputs as [Tensor];
      return fourBitProduct({ name: context.nameOf(x), shape: x.shape }, shapeOfWeight(node), node, context);
    },
    rmsNorm: (node, { emitter, nameOf }) =>
      emitter.emit("RMSNormalization", node.inputs.map(nameOf), {
        attributes: { axis: { int: -1 }, epsilon: { float: node.attributes.epsilon as number } },
      }),
    sum: reduction("ReduceSum"),
  },
};
