import { grad } from "../../src/autograd/grad.js";
import {
  add,
  addPerRow,
  broadcastTo,
  cast,
  concat,
  constant,
  dequantizeFourBit,
  dequantizeInt8,
  div,
  equal,
  erf,
  exp,
  type FourBitMatrix,
  gatherRows,
  inverseRms,
  less,
  log,
  matmul,
  matmulFourBit,
  max,
  mul,
  neg,
  pad,
  reshape,
  rmsNorm,
  rotary,
  scatterAddRows,
  sigmoid,
  slice,
  softmax,
  sqrt,
  sub,
  sum,
  takePerRow,
  tanh,
  transpose,
  where,
} from "../../src/ops/index.js";
import type { PrimitiveName } from "../../src/ops/primitives.js";
import { allocate, type DType, type TypedArray } from "../../src/tensor/dtype.js";
import { Rng } from "../../src/tensor/random.js";
import { type Shape, sizeOf } from "../../src/tensor/shape.js";
import { placeholder, type Tensor, tensor } from "../../src/tensor/tensor.js";

/** What an input holds. */
export interface InputSpec {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly draw: (rng: Rng) => number;
  /** Floats are, unless they are data by the op's definition. */
  readonly isDifferentiated: boolean;
}

/** One use of a primitive: inputs and what is made of them. */
export interface OpCase {
  readonly op: PrimitiveName;
  readonly what: string;
  readonly inputs: readonly InputSpec[];
  readonly build: (...inputs: Tensor[]) => Tensor;
}

const input =
  (dtype: DType, draw: (rng: Rng) => number, isDifferentiated = dtype === "float32") =>
  (...shape: number[]): InputSpec => ({ shape, dtype, draw, isDifferentiated });

const floats = input("float32", (rng) => rng.uniform() * 4 - 2);
const positive = input("float32", (rng) => rng.uniform() + 0.5);
const angles = input("float32", (rng) => rng.uniform() * 2 - 1, false);
const flags = input("bool", (rng) => rng.below(2));
const bytes = input("uint8", (rng) => rng.below(256));
const codes = input("int8", (rng) => rng.below(256) - 128);
const scales = input("float32", (rng) => rng.uniform() + 0.5, false);
const below = (bound: number, ...shape: number[]): InputSpec => input("int32", (rng) => rng.below(bound))(...shape);

type Row = readonly [what: string, inputs: readonly InputSpec[], build: (...inputs: Tensor[]) => Tensor];

/** The same shapes for every op of two inputs; `right` keeps divisors away from zero. */
function broadcasting(f: (a: Tensor, b: Tensor) => Tensor, right = floats): Row[] {
  const build = (a: Tensor, b: Tensor) => f(a, b);
  return [
    ["equal shapes", [floats(3, 5), right(3, 5)], build],
    ["a column and a row", [floats(3, 1), right(1, 5)], build],
    ["a scalar on the left", [floats(), right(7)], build],
    ["fewer axes on the right", [floats(2, 3, 5), right(5)], build],
    ["axes of size 1 on both sides", [floats(2, 1, 3, 1), right(4, 1, 7)], build],
    ["one element", [floats(1), right(1, 1)], build],
    ["no elements", [floats(0, 3), right(1, 3)], build],
  ];
}

function elementwise(f: (x: Tensor) => Tensor, input = floats): Row[] {
  return [
    ["a matrix", [input(3, 7)], f],
    ["a scalar", [input()], f],
    ["no elements", [input(0)], f],
  ];
}

function reduction(f: typeof sum): Row[] {
  return [
    ["all axes", [floats(3, 5)], (x) => f(x)],
    ["the first axis", [floats(3, 5)], (x) => f(x, { axes: [0] })],
    ["the last axis, kept", [floats(2, 3, 5)], (x) => f(x, { axes: [-1], keepDims: true })],
    ["two axes apart", [floats(2, 3, 4, 5)], (x) => f(x, { axes: [-3, 3] })],
    ["an axis of size 1", [floats(3, 1, 2)], (x) => f(x, { axes: [1] })],
  ];
}

const product = (options: Parameters<typeof matmul>[2]) => (a: Tensor, b: Tensor) => matmul(a, b, options);

/** Weights of which blocks hold whole rows, parts of rows and several rows, and end inside a block or a byte. */
const FOUR_BIT_MATRICES: readonly FourBitMatrix[] = [
  { type: "nf4", blockSize: 64, shape: [4, 64] },
  { type: "fp4", blockSize: 64, shape: [4, 64] },
  { type: "nf4", blockSize: 16, shape: [3, 21] },
  { type: "fp4", blockSize: 16, shape: [3, 21] },
  { type: "nf4", blockSize: 32, shape: [5, 24] },
  { type: "nf4", blockSize: 128, shape: [6, 40] },
  { type: "fp4", blockSize: 256, shape: [3, 128] },
  { type: "nf4", blockSize: 512, shape: [7, 100] },
  { type: "fp4", blockSize: 1024, shape: [30, 35] },
  { type: "nf4", blockSize: 4096, shape: [5, 13] },
  { type: "nf4", blockSize: 64, shape: [1, 1] },
];

const describeFourBit = ({ type, blockSize, shape: [out, inner] }: FourBitMatrix) =>
  `${type}, (${out}, ${inner}) in blocks of ${blockSize}`;

/** What packed and absmax of a weight hold. */
function fourBitInputs({ blockSize, shape: [out, inner] }: FourBitMatrix): InputSpec[] {
  return [bytes(Math.ceil((out * inner) / 2)), scales(Math.ceil((out * inner) / blockSize))];
}

function fourBitProduct(rows: number, matrix: FourBitMatrix): Row {
  const inputs = [floats(rows, matrix.shape[1]), ...fourBitInputs(matrix)];
  const build = (...[x, packed, absmax]: Tensor[]) => matmulFourBit(x!, packed!, absmax!, matrix);
  return [`${rows} rows, ${describeFourBit(matrix)}`, inputs, build];
}

const ROWS: Readonly<Record<PrimitiveName, readonly Row[]>> = {
  add: [
    ...broadcasting(add),
    ["integers", [below(9, 2, 3), below(9, 3)], (a, b) => add(a, b)],
    ["a number", [floats(3)], (x) => add(x, 2.5)],
  ],
  addPerRow: [
    ["one value a row", [floats(4, 3), below(3, 4), floats(4, 1)], addPerRow],
    ["one column", [floats(4, 1), below(1, 4), floats(4, 1)], addPerRow],
  ],
  broadcast: [
    ["a new axis", [floats(3)], (x) => broadcastTo(x, [2, 3])],
    ["an inner axis of size 1", [floats(2, 1, 3)], (x) => broadcastTo(x, [2, 4, 3])],
    ["a scalar", [floats()], (x) => broadcastTo(x, [2, 3])],
    ["integers", [below(9, 3)], (x) => broadcastTo(x, [2, 3])],
  ],
  cast: [
    ["float32 to int32 truncates", [floats(11)], (x) => cast(x, "int32")],
    ["float32 to bool", [below(3, 11)], (x) => cast(cast(x, "float32"), "bool")],
    ["int32 to float32", [below(100, 3, 2)], (x) => cast(x, "float32")],
    ["uint8 to float32", [bytes(9)], (x) => cast(x, "float32")],
    ["uint8 to int32", [bytes(9)], (x) => cast(x, "int32")],
    ["bool to float32", [flags(9)], (x) => cast(x, "float32")],
  ],
  concat: [
    ["first axis", [floats(2, 3), floats(1, 3), floats(4, 3)], (...xs) => concat(xs, 0)],
    ["last axis", [floats(2, 3), floats(2, 1)], (...xs) => concat(xs, -1)],
    ["one of no elements", [floats(2, 0), floats(2, 3)], (...xs) => concat(xs, 1)],
    ["twice the same", [floats(2, 3)], (x) => concat([x, x], 1)],
    ["integers", [below(9, 2), below(9, 3)], (...xs) => concat(xs, 0)],
  ],
  constant: [
    ["in arithmetic", [floats(3)], (x) => mul(x, constant(-1.5))],
    ["as an output", [], () => constant(0.1)],
    ["an integer", [below(5, 4)], (x) => add(x, constant(7, "int32"))],
  ],
  dequantizeFourBit: FOUR_BIT_MATRICES.map((matrix) => [
    describeFourBit(matrix),
    fourBitInputs(matrix),
    (packed, absmax) => dequantizeFourBit(packed, absmax, matrix),
  ]),
  dequantizeInt8: [
    ["a matrix", [codes(3, 7), scales(3)], dequantizeInt8],
    ["one row", [codes(1, 9), scales(1)], dequantizeInt8],
    ["one column", [codes(9, 1), scales(9)], dequantizeInt8],
  ],
  div: broadcasting(div, positive),
  equal: [
    ["integers", [below(3, 4, 5), below(3, 5)], (a, b) => equal(a, b)],
    ["floats", [floats(3, 4)], (x) => equal(x, max(x, { axes: [1], keepDims: true }))],
  ],
  erf: [...elementwise(erf), ["its tails", [floats(4, 9)], (x) => erf(mul(x, 3))]],
  exp: elementwise(exp),
  gatherRows: [
    ["repeated rows", [floats(5, 3), below(5, 11)], (table, ids) => gatherRows(table, ids)],
    ["indices of two axes", [floats(5, 3), below(5, 2, 4)], (table, ids) => gatherRows(table, ids)],
    ["a table of one row", [floats(1, 4), below(1, 3)], (table, ids) => gatherRows(table, ids)],
    ["no indices", [floats(5, 3), below(5, 0)], (table, ids) => gatherRows(table, ids)],
  ],
  inverseRms: [
    ["rows", [floats(5, 7)], (x) => inverseRms(x, 1e-5)],
    ["rows of one", [floats(3, 1)], (x) => inverseRms(x, 0.1)],
    [
      "beside the norm that computes it too",
      [floats(5, 7), floats(7)],
      (x, weight) => mul(inverseRms(x, 1e-5), rmsNorm(x, weight, 1e-5)),
    ],
    [
      "beside a norm with another epsilon",
      [floats(5, 7), floats(7)],
      (x, weight) => mul(inverseRms(x, 0.5), rmsNorm(x, weight, 1e-5)),
    ],
  ],
  less: [
    ["integers", [below(5, 4, 5), below(5, 4, 1)], (a, b) => less(a, b)],
    ["floats and a number", [floats(9)], (x) => less(x, 0.25)],
  ],
  log: elementwise(log, positive),
  matmul: [
    ["plain", [floats(3, 5), floats(5, 2)], product({})],
    ["left transposed", [floats(5, 3), floats(5, 2)], product({ transposeA: true })],
    ["right transposed", [floats(3, 5), floats(2, 5)], product({ transposeB: true })],
    ["both transposed", [floats(5, 3), floats(2, 5)], product({ transposeA: true, transposeB: true })],
    ["row and column", [floats(1, 7), floats(7, 1)], product({})],
    ["column and row", [floats(7, 1), floats(1, 4)], product({})],
    ["batched", [floats(2, 3, 4, 5), floats(2, 3, 5, 2)], product({})],
    ["batched, left transposed", [floats(2, 5, 3), floats(2, 5, 2)], product({ transposeA: true })],
    ["batched, right transposed", [floats(2, 3, 5), floats(2, 2, 5)], product({ transposeB: true })],
    ["batched, both transposed", [floats(2, 5, 3), floats(2, 2, 5)], product({ transposeA: true, transposeB: true })],
    ["a matrix for a whole batch", [floats(3, 2, 5), floats(5, 4)], product({})],
    ["batch axes of size 1", [floats(1, 3, 2, 5), floats(4, 1, 5, 2)], product({})],
    ["scaled", [floats(3, 5), floats(5, 2)], (a, b) => mul(matmul(a, b), 0.25)],
    ["batched and scaled", [floats(2, 3, 5), floats(2, 5, 2)], (a, b) => mul(-3, matmul(a, b))],
    [
      "added to another",
      [floats(3, 5), floats(5, 2), floats(3, 4), floats(2, 4)],
      (a, b, c, d) => add(mul(matmul(a, b), 0.5), mul(matmul(c, d, { transposeB: true }), 2)),
    ],
  ],
  matmulFourBit: [
    ...FOUR_BIT_MATRICES.map((matrix) => fourBitProduct(5, matrix)),
    fourBitProduct(1, { type: "nf4", blockSize: 64, shape: [6, 20] }),
    // From 16 rows on WebGPU has kernels of its own: one for multiples of 4, one for any sizes.
    fourBitProduct(20, { type: "nf4", blockSize: 64, shape: [8, 36] }),
    fourBitProduct(17, { type: "fp4", blockSize: 32, shape: [5, 19] }),
    [
      "the addend of a scaled product",
      [floats(5, 64), ...fourBitInputs(FOUR_BIT_MATRICES[0]!), floats(5, 2), floats(4, 2)],
      (x, packed, absmax, a, b) => {
        const base = matmulFourBit(x!, packed!, absmax!, FOUR_BIT_MATRICES[0]!);
        return add(base, mul(matmul(a!, b!, { transposeB: true }), 0.5));
      },
    ],
  ],
  max: [...reduction(max), ["integers", [below(99, 3, 4)], (x) => max(x, { axes: [1] })]],
  mul: [...broadcasting(mul), ["by itself", [floats(3, 2)], (x) => mul(x, x)]],
  neg: elementwise(neg),
  pad: [
    ["both ends", [floats(2, 3)], (x) => pad(x, 1, 2, 1)],
    ["one end of the first axis", [floats(2, 3)], (x) => pad(x, 0, 0, 4)],
    ["negative axis", [floats(2, 3, 1)], (x) => pad(x, -1, 1, 0)],
  ],
  reshape: [
    ["other axes", [floats(3, 4)], (x) => reshape(x, [2, 1, 6])],
    ["to a scalar", [floats(1, 1)], (x) => reshape(x, [])],
    ["no elements", [floats(0, 4)], (x) => reshape(x, [2, 0])],
    ["integers", [below(9, 4)], (x) => reshape(x, [2, 2])],
  ],
  rmsNorm: [
    ["rows", [floats(5, 7), floats(7)], (x, weight) => rmsNorm(x, weight, 1e-5)],
    ["three axes", [floats(2, 3, 5), floats(5)], (x, weight) => rmsNorm(x, weight, 0.1)],
    ["one row", [floats(8), floats(8)], (x, weight) => rmsNorm(x, weight, 1e-6)],
  ],
  rotary: [
    ["two heads", [floats(2, 3, 8), angles(3, 2), angles(3, 2)], (x, cos, sin) => rotary(x, cos, sin)],
    ["one position", [floats(3, 1, 4), angles(1, 2), angles(1, 2)], (x, cos, sin) => rotary(x, cos, sin)],
    ["one head of wide angles", [floats(1, 5, 16), angles(5, 8), angles(5, 8)], (x, c, s) => rotary(x, c, s)],
  ],
  scatterAddRows: [
    [
      "equal indices add up",
      [floats(5, 3), below(5, 11), floats(11, 3)],
      (base, ids, rows) => scatterAddRows(base, ids, rows),
    ],
    [
      "a base of one row",
      [floats(1, 4), below(1, 3), floats(3, 4)],
      (base, ids, rows) => scatterAddRows(base, ids, rows),
    ],
  ],
  sigmoid: elementwise(sigmoid),
  slice: [
    ["the middle", [floats(5, 3)], (x) => slice(x, 0, 1, 4)],
    ["the end of the last axis", [floats(2, 3, 4)], (x) => slice(x, -1, 2, 4)],
    ["nothing", [floats(2, 3)], (x) => slice(x, 1, 1, 1)],
    ["integers", [below(9, 7)], (x) => slice(x, 0, 2, 5)],
    ["the last axis of integers", [below(9, 3, 7)], (x) => slice(x, 1, 0, 3)],
  ],
  softmax: [
    ["rows", [floats(3, 5)], (x) => softmax(x)],
    ["four axes", [floats(2, 1, 3, 4)], (x) => softmax(x)],
    ["rows of one", [floats(3, 1)], (x) => softmax(x)],
    ["values whose exponential overflows", [below(5, 2, 3)], (x) => softmax(cast(add(x, 100), "float32"))],
  ],
  sqrt: elementwise(sqrt, positive),
  sub: [...broadcasting(sub), ["from a number", [floats(3)], (x) => sub(1, x)]],
  sum: [...reduction(sum), ["no elements", [floats(3, 0)], (x) => sum(x, { axes: [1] })]],
  takePerRow: [
    ["rows", [floats(4, 3), below(3, 4)], (x, columns) => takePerRow(x, columns)],
    ["one column", [floats(4, 1), below(1, 4)], (x, columns) => takePerRow(x, columns)],
  ],
  tanh: [...elementwise(tanh), ["its tails", [floats(4, 9)], (x) => tanh(mul(x, 4))]],
  transpose: [
    ["a matrix", [floats(3, 5)], (x) => transpose(x)],
    ["four axes in a cycle", [floats(2, 3, 4, 5)], (x) => transpose(x, [2, 0, 3, 1])],
    ["axes of size 1", [floats(1, 3, 1)], (x) => transpose(x, [2, 1, 0])],
    ["integers", [below(9, 3, 4)], (x) => transpose(x)],
  ],
  where: [
    ["equal shapes", [flags(3, 4), floats(3, 4), floats(3, 4)], (c, a, b) => where(c, a, b)],
    ["all broadcast", [flags(3, 1), floats(1, 4), floats(2, 1, 1)], (c, a, b) => where(c, a, b)],
    ["a number", [flags(5), floats(5)], (c, a) => where(c, a, 0)],
    ["integers", [flags(5), below(9, 5)], (c, a) => where(c, a, 3)],
  ],
};

/** Every primitive in at least two uses, ordered by op. */
export const OP_CASES: readonly OpCase[] = Object.entries(ROWS).flatMap(([op, rows]) =>
  rows.map(([what, inputs, build]) => ({ op: op as PrimitiveName, what, inputs, build })),
);

/** The graph of a case for a device, with its gradients, and values for its inputs. */
export interface BuiltCase {
  /** `y`, and for a float output `d0`, `d1`… for the differentiated inputs: gradients of `loss`. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** The weighted sum of y whose gradients are taken; undefined when y is not float or depends on no float. */
  readonly loss: Tensor | undefined;
  /** By placeholder; exact in the type of the placeholder. */
  readonly feeds: Readonly<Record<string, TypedArray>>;
  /** Names of the differentiated inputs: the k-th has the gradient `d${k}`. */
  readonly differentiated: readonly string[];
}

/** Builds a case over placeholders. Values depend on `seed` and the case alone. */
export function buildCase({ op, what, inputs, build }: OpCase, seed = 0): BuiltCase {
  const rng = new Rng(seed, `${op}/${what}`);
  const leaves = inputs.map(({ shape, dtype }, i) => placeholder(`x${i}`, shape, dtype));
  const feeds: Record<string, TypedArray> = {};
  inputs.forEach(({ shape, dtype, draw }, i) => {
    const array = allocate(dtype, sizeOf(shape));
    feeds[`x${i}`] = array.map(() => draw(rng)) as TypedArray;
  });
  const y = build(...leaves);
  const wrt = y.dtype === "float32" ? leaves.filter((_, i) => inputs[i]!.isDifferentiated) : [];
  if (wrt.length === 0) return { outputs: { y }, loss: undefined, feeds, differentiated: [] };
  const weights = tensor(
    Float32Array.from({ length: y.size }, () => rng.uniform() * 2 - 1),
    y.shape,
  );
  const loss = sum(mul(y, weights));
  const gradients = grad(loss, wrt).map((gradient, k) => [`d${k}`, gradient] as const);
  const differentiated = wrt.map((leaf) => `x${leaves.indexOf(leaf)}`);
  return { outputs: { y, ...Object.fromEntries(gradients) }, loss, feeds, differentiated };
}
