import type { Tensor } from "../tensor/tensor.js";
import { COMMON_PRIMITIVES, direct, reduction, standardProduct } from "./lower-common.js";
import type { Lowering, Profile } from "./lowering.js";

/** Operator set of a model of {@link PORTABLE_PROFILE}, and its file format. */
export const PORTABLE_ENCODING = { irVersion: 8, opsets: { "": 17 } } as const;

const notWritten: Lowering = (node) => {
  throw new Error(`lowering: ${node.op?.name} has no place in a model that any runtime reads`);
};

/** Up to version 17, ReduceMax takes its axes as an attribute. */
const largest = direct("ReduceMax", (node) => ({
  attributes: { axes: { ints: node.attributes.axes as number[] }, keepdims: { int: 1 } },
}));

/** 1 / √(mean(x²) + ε), composed of basic operators. */
const inverseRms: Lowering = (node, { emitter, nameOf }) => {
  const x = nameOf(node.inputs[0]!);
  const mean = emitter.emit("ReduceMean", [emitter.emit("Mul", [x, x])], { attributes: { axes: { ints: [1] } } });
  const shifted = emitter.emit("Add", [mean, emitter.scalar(node.attributes.epsilon as number)]);
  return emitter.emit("Reciprocal", [emitter.emit("Sqrt", [shifted])]);
};

/** ONNX's own operators of version 17, for files that other runtimes read: forward passes on float weights. */
export const PORTABLE_PROFILE: Profile = {
  product: standardProduct,
  primitives: {
    ...COMMON_PRIMITIVES,
    addPerRow: notWritten,
    dequantizeFourBit: notWritten,
    dequantizeInt8: notWritten,
    inverseRms,
    log: direct("Log"),
    matmulFourBit: notWritten,
    max: largest,
    pad: notWritten,
    rmsNorm: (node, context) => {
      const { emitter, nameOf } = context;
      const [x, weight] = node.inputs.map(nameOf) as [string, string];
      return emitter.emit("Mul", [emitter.emit("Mul", [x, inverseRms(node, context)]), weight]);
    },
    rotary: (node, { emitter, nameOf }) => {
      const [x, cos, sin] = node.inputs as [Tensor, Tensor, Tensor];
      const [batch, time, width] = x.shape as [number, number, number];
      const half = cos.shape[1]!;
      const heads = emitter.reshape(nameOf(x), [batch, time, width / (2 * half), 2 * half]);
      const part = (start: number) =>
        emitter.emit("Slice", [heads, ...[[start], [start + half], [3]].map((bounds) => emitter.integers(bounds))]);
      const [a, b] = [part(0), part(half)];
      const [c, s] = [cos, sin].map((angles) => emitter.reshape(nameOf(angles), [1, time, 1, half])) as [
        string,
        string,
      ];
      const product = (left: string, right: string) => emitter.emit("Mul", [left, right]);
      const turned = [
        emitter.emit("Sub", [product(a, c), product(b, s)]),
        emitter.emit("Add", [product(b, c), product(a, s)]),
      ];
      return emitter.reshape(emitter.emit("Concat", turned, { attributes: { axis: { int: 3 } } }), x.shape);
    },
    scatterAddRows: notWritten,
    sum: reduction("ReduceSum"),
  },
};
