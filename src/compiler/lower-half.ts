import { type Shape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { EmitOptions, Emitter } from "./emitter.js";
import type { Product } from "./fuse.js";
import type { HalfLeaf, LoweringContext, RowRange } from "./lowering.js";
import { emitFastProduct, emitProduct, type ValueProduct } from "./product-cpu.js";

/** ONNX types that lowering casts to, by TensorProto.DataType. */
const FLOAT = 1;
const BFLOAT16 = 16;

/**
 * Elements per piece of a weight that a product reads. For one row, a piece stays in cache in float32. For several rows
 * pieces are larger, but still keep only a small part of the weight in float32 at a time.
 */
const PIECE_ELEMENTS = { oneRow: 2 ** 19, manyRows: 2 ** 22 } as const;

/** The leaf in float32. Each reader widens it anew, so the float32 copy lives only for that node. */
export function widenedLeaf(leaf: HalfLeaf, emitter: Emitter): string {
  return scaled(widened(leaf, leaf.input(), leaf.tensor.shape, emitter), leaf.scale, emitter);
}

/** Rows of a table. Only these are widened. */
export function halfRows(leaf: HalfLeaf, indices: string, shape: Shape, emitter: Emitter): string {
  return scaled(widened(leaf, emitter.emit("Gather", [leaf.input(), indices]), shape, emitter), leaf.scale, emitter);
}

/**
 * A product whose right side is a leaf held as 16-bit floats; undefined for other products. Its bits equal those of the
 * product with the float32 copy; for several rows and a weight of many pieces they are equal up to rounding.
 * Multiplying by a power of two is exact, so the weight's scale is taken out of the sums.
 */
export function halfProduct(product: Product, context: LoweringContext): string | undefined {
  const { emitter, nameOf, halfLeaf } = context;
  const leaf = halfLeaf(product.b);
  if (leaf === undefined) return undefined;
  const { a, b, c, transposeA, transposeB, alpha } = product;
  const { scale } = leaf;
  const right = (rows?: RowRange): ValueProduct["b"] => {
    const shape = rows === undefined ? b.shape : [rows[1] - rows[0], ...b.shape.slice(1)];
    return { name: widened(leaf, leaf.input(rows), shape, emitter), shape };
  };
  const left = { name: nameOf(a), shape: a.shape };
  const addend = c && scaled(nameOf(c), 1 / scale, emitter);
  const [columns, inner] = b.shape as [number, number];
  const isOneRow = a.rank === 2 && a.shape[0] === 1 && !transposeA;
  const piece = Math.ceil(PIECE_ELEMENTS[isOneRow ? "oneRow" : "manyRows"] / inner);
  if (a.rank !== 2 || b.rank !== 2 || !transposeB || piece >= columns) {
    const whole = { a: left, b: right(), transposeA, transposeB, alpha, c: addend };
    return scaled(emitFastProduct(whole, emitter), scale, emitter);
  }
  const rows = a.shape[transposeA ? 1 : 0]!;
  const pieces: string[] = [];
  for (let start = 0; start < columns; start += piece) {
    const end = Math.min(columns, start + piece);
    const part = addend && emitter.emit("Slice", [addend, ...[[start], [end], [1]].map((at) => emitter.integers(at))]);
    const one = { a: left, b: right([start, end]), transposeA, transposeB, alpha, c: part };
    // With one row, each column is its own sum, whatever other columns there are.
    pieces.push(
      isOneRow ? emitProduct(one, emitter, [1, end - start]) : emitFastProduct(one, emitter, [rows, end - start]),
    );
  }
  const options: EmitOptions = { attributes: { axis: { int: 1 } }, shape: [rows, columns] };
  return scaled(emitter.emit("Concat", pieces, options), scale, emitter);
}

/** Float32 values of the bits, without the scale. */
function widened({ format }: HalfLeaf, bits: string, shape: Shape, emitter: Emitter): string {
  const half =
    format === "bfloat16" ? emitter.emit("BitCast", [bits], { attributes: { to: { int: BFLOAT16 } } }) : bits;
  return emitter.emit("Cast", [half], { attributes: { to: { int: FLOAT } }, shape });
}

function scaled(x: string, scale: number, emitter: Emitter): string {
  return scale === 1 ? x : emitter.emit("Mul", [x, emitter.scalar(scale)]);
}

/** ONNX type that feeds an input of 16-bit floats: JavaScript's tensors have no bfloat16. */
export const FED_AS = { float16: "float16", bfloat16: "uint16" } as const;

/** Versions of a model that reads bfloat16: the first operator set with BitCast, and its file format. */
export const BIT_CAST_ENCODING = { irVersion: 13, opsets: { "": 26, "com.microsoft": 1 } } as const;

/** Range of elements that the rows of a leaf cover. */
export function elementsOf({ shape }: Tensor, [start, end]: RowRange): readonly [number, number] {
  const width = sizeOf(shape.slice(1));
  return [start * width, end * width];
}
