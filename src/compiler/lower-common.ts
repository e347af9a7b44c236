import { type FourBitMatrix, INT8_UNIT } from "../ops/quantized.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { EmitOptions, Emitter } from "./emitter.js";
import type { Product } from "./fuse.js";
import { halfRows } from "./lower-half.js";
import type { Lowering, LoweringContext, Profile } from "./lowering.js";
import { emitProduct, type Value, type ValueProduct } from "./product-cpu.js";

const MICROSOFT = "com.microsoft";
/** TensorProto.DataType numbers, as Cast takes them. */
const CAST_CODES: Readonly<Record<string, number>> = { float32: 1, uint8: 2, int8: 3, int32: 6, bool: 9 };

/** A primitive that is one ONNX operator on the same inputs. */
export const direct =
  (opType: string, options: (node: Tensor) => EmitOptions = () => ({})): Lowering =>
  (node, { emitter, nameOf }) =>
    emitter.emit(opType, node.inputs.map(nameOf), options(node));

/** Reduces axes of `x`, which stay with size 1. */
export function emitReduction(opType: string, x: string, axes: readonly number[], emitter: Emitter): string {
  return emitter.emit(opType, [x, emitter.integers(axes)], { attributes: { keepdims: { int: 1 } } });
}

export const reduction =
  (opType: string): Lowering =>
  (node, { emitter, nameOf }) =>
    emitReduction(opType, nameOf(node.inputs[0]!), node.attributes.axes as number[], emitter);

/** 1 / √(mean(x²) + ε), composed of basic operators. */
export const composeInverseRms: Lowering = (node, { emitter, nameOf }) => {
  const x = nameOf(node.inputs[0]!);
  const meanSquare = emitter.emit("ReduceMean", [emitter.emit("Mul", [x, x]), emitter.integers([1])]);
  const shifted = emitter.emit("Add", [meanSquare, emitter.scalar(node.attributes.epsilon as number)]);
  return emitter.emit("Reciprocal", [emitter.emit("Sqrt", [shifted])]);
};

/** Replaces a product's tensors by their values in the model. */
export function valuesOf({ a, b, c, ...rest }: Product, { nameOf }: LoweringContext): ValueProduct {
  const value = (x: Tensor): Value => ({ name: nameOf(x), shape: x.shape });
  return { ...rest, a: value(a), b: value(b), c: c === undefined ? undefined : nameOf(c) };
}

/** A product in ONNX's own operators. */
export function standardProduct(product: Product, node: Tensor, context: LoweringContext): string {
  if (node.rank === 2) return emitProduct(valuesOf(product, context), context.emitter);
  const { emitter, nameOf } = context;
  const oriented = (x: Tensor, swap: boolean) => {
    if (!swap) return nameOf(x);
    const perm = x.shape.map((_, axis) => (axis < x.rank - 2 ? axis : 2 * x.rank - 3 - axis));
    return emitter.emit("Transpose", [nameOf(x)], { attributes: { perm: { ints: perm } } });
  };
  const result = emitter.emit("MatMul", [
    oriented(product.a, product.transposeA),
    oriented(product.b, product.transposeB),
  ]);
  return product.alpha === 1 ? result : emitter.emit("Mul", [result, emitter.scalar(product.alpha)]);
}

/** (out, in) of the node's 4-bit weight. */
export const shapeOfWeight = (node: Tensor): readonly [number, number] =>
  (node.attributes as unknown as FourBitMatrix).shape;

/** The largest block size that MatMulBnb4 supports. */
const LARGEST_BLOCK = 256;

/** x (rows, inner) · Wᵀ, with the node's 4-bit elements read as W (columns, inner). */
export function fourBitProduct(
  x: Value,
  [columns, inner]: readonly [number, number],
  node: Tensor,
  { emitter, nameOf }: LoweringContext,
): string {
  const { type, blockSize } = node.attributes as unknown as FourBitMatrix;
  const [packed, absmax] = node.inputs.slice(-2) as [Tensor, Tensor];
  const parts = Math.ceil(blockSize / LARGEST_BLOCK);
  let scales = nameOf(absmax);
  if (parts > 1) {
    // A larger block becomes several of the largest size with the same scale. The kernel reads no scale past the last
    // element.
    const column = emitter.reshape(scales, [absmax.size, 1]);
    const repeated = emitter.emit("Expand", [column, emitter.integers([absmax.size, parts])]);
    scales = emitter.reshape(repeated, [absmax.size * parts]);
  }
  return emitter.emit("MatMulBnb4", [x.name, nameOf(packed), scales], {
    domain: MICROSOFT,
    attributes: {
      K: { int: inner },
      N: { int: columns },
      block_size: { int: blockSize / parts },
      quant_type: { int: type === "nf4" ? 1 : 0 },
    },
    shape: [x.shape[0]!, columns],
  });
}

/**
 * The node's 4-bit matrix in float32. No operator only dequantizes 4-bit types. Read as one column and multiplied by 1,
 * the elements come out unchanged, because each sum has one term. Looking them up in a table with Gather is slower.
 */
export function dequantizedFourBit(shape: readonly [number, number], node: Tensor, context: LoweringContext): string {
  const { emitter } = context;
  const one = { name: emitter.reshape(emitter.scalar(1), [1, 1]), shape: [1, 1] };
  return emitter.reshape(fourBitProduct(one, [sizeOf(shape), 1], node, context), shape);
}

/** Primitives that every provider computes with the same operators. */
export const COMMON_PRIMITIVES: Omit<
  Profile["primitives"],
  "inverseRms" | "log" | "matmulFourBit" | "rmsNorm" | "sum"
> = {
  add: direct("Add"),
  addPerRow: (node, { emitter, nameOf }) => {
    const [x, indices, values] = node.inputs as [Tensor, Tensor, Tensor];
    const columns = emitter.reshape(nameOf(indices), [indices.size, 1]);
    return emitter.emit("ScatterElements", [nameOf(x), columns, nameOf(values)], {
      attributes: { axis: { int: 1 }, reduction: { string: "add" } },
    });
  },
  broadcast: (node, { emitter, nameOf }) =>
    emitter.emit("Expand", [nameOf(node.inputs[0]!), emitter.integers(node.shape)]),
  cast: direct("Cast", (node) => ({ attributes: { to: { int: CAST_CODES[node.dtype]! } } })),
  concat: direct("Concat", (node) => ({ attributes: { axis: { int: node.attributes.axis as number } } })),
  constant: (node, { emitter }) => emitter.scalar(node.attributes.value as number, node.dtype),
  dequantizeFourBit: (node, context) => dequantizedFourBit(shapeOfWeight(node), node, context),
  dequantizeInt8: (node, { emitter, nameOf }) => {
    const scaled = emitter.emit("DequantizeLinear", node.inputs.map(nameOf), { attributes: { axis: { int: 0 } } });
    return emitter.emit("Mul", [scaled, emitter.scalar(INT8_UNIT)]);
  },
  div: direct("Div"),
  equal: direct("Equal"),
  erf: direct("Erf"),
  exp: direct("Exp"),
  gatherRows: ({ inputs, shape }, { emitter, nameOf, halfLeaf }) => {
    const [table, indices] = inputs as [Tensor, Tensor];
    const leaf = halfLeaf(table);
    if (leaf !== undefined) return halfRows(leaf, nameOf(indices), shape, emitter);
    return emitter.emit("Gather", [nameOf(table), nameOf(indices)]);
  },
  less: direct("Less"),
  matmul: () => {
    throw new Error("lowering: matmul is written as a product");
  },
  max: reduction("ReduceMax"),
  mul: direct("Mul"),
  neg: direct("Neg"),
  pad: (node, { emitter, nameOf }) => {
    const { axis, before, after } = node.attributes as { axis: number; before: number; after: number };
    return emitter.emit("Pad", [
      nameOf(node.inputs[0]!),
      emitter.integers([before, after]),
      "",
      emitter.integers([axis]),
    ]);
  },
  reshape: (node, { emitter, nameOf }) => emitter.reshape(nameOf(node.inputs[0]!), node.shape),
  rotary: (node, { emitter, nameOf }) => {
    const [x, cos, sin] = node.inputs.map(nameOf) as [string, string, string];
    return emitter.emit("RotaryEmbedding", [x, emitter.integers([0]), cos, sin], { domain: MICROSOFT });
  },
  scatterAddRows: (node, { emitter, nameOf }) => {
    const [base, indices, rows] = node.inputs as [Tensor, Tensor, Tensor];
    // ScatterND would need no expanded indices, but adds repeated ones in a data race.
    const column = emitter.reshape(nameOf(indices), [indices.size, 1]);
    const expanded = emitter.emit("Expand", [column, emitter.integers(rows.shape)]);
    return emitter.emit("ScatterElements", [nameOf(base), expanded, nameOf(rows)], {
      attributes: { axis: { int: 0 }, reduction: { string: "add" } },
    });
  },
  sigmoid: direct("Sigmoid"),
  slice: (node, { emitter, nameOf }) => {
    const { axis, start, end } = node.attributes as { axis: number; start: number; end: number };
    const bounds = [[start], [end], [axis]].map((values) => emitter.integers(values));
    return emitter.emit("Slice", [nameOf(node.inputs[0]!), ...bounds]);
  },
  softmax: direct("Softmax", () => ({ attributes: { axis: { int: -1 } } })),
  sqrt: direct("Sqrt"),
  sub: direct("Sub"),
  takePerRow: (node, { emitter, nameOf }) => {
    const [x, indices] = node.inputs as [Tensor, Tensor];
    const columns = emitter.reshape(nameOf(indices), [indices.size, 1]);
    return emitter.emit("GatherElements", [nameOf(x), columns], { attributes: { axis: { int: 1 } } });
  },
  tanh: direct("Tanh"),
  transpose: (node, { emitter, nameOf }) => {
    const [x] = node.inputs as [Tensor];
    const permutation = node.attributes.permutation as number[];
    // If only axes of size 1 change places, nothing moves.
    const moved = permutation.filter((axis) => x.shape[axis] !== 1);
    if (moved.every((axis, i) => i === 0 || axis > moved[i - 1]!)) return emitter.reshape(nameOf(x), node.shape);
    return emitter.emit("Transpose", [nameOf(x)], { attributes: { perm: { ints: permutation } } });
  },
  where: direct("Where"),
};
