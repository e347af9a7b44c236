import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { DTypeError, ShapeError } from "../src/base/errors.js";
import { encodeModel, int64Initializer, type OnnxGraph } from "../src/compiler/onnx-model.js";
import { createSession } from "../src/runtime/session.js";
import { peersPython } from "./peers/environment.js";

const PYTHON = peersPython();

/** Reads a model from standard input and prints what it says, numbers as text where JSON would round them. */
const READER = `
import json, sys, onnx
model = onnx.ModelProto.FromString(sys.stdin.buffer.read())
def tensor(t):
    return dict(name=t.name, type=onnx.TensorProto.DataType.Name(t.data_type), shape=list(t.dims), bytes=list(t.raw_data))
def attribute(a):
    kind = onnx.AttributeProto.AttributeType.Name(a.type)
    value = {"INT": lambda: str(a.i), "FLOAT": lambda: a.f, "STRING": lambda: a.s.decode(), "TENSOR": lambda: tensor(a.t),
             "INTS": lambda: [str(i) for i in a.ints], "FLOATS": lambda: list(a.floats)}[kind]()
    return [kind, value]
def node(n):
    return dict(opType=n.op_type, domain=n.domain, name=n.name, inputs=list(n.input), outputs=list(n.output),
                attributes={a.name: attribute(a) for a in n.attribute})
def info(v):
    t = v.type.tensor_type
    return dict(name=v.name, type=onnx.TensorProto.DataType.Name(t.elem_type), shape=[d.dim_value for d in t.shape.dim],
                ranked=t.HasField("shape"))
g = model.graph
size = model.ByteSize()
model.DiscardUnknownFields()
json.dump(dict(irVersion=model.ir_version, producer=model.producer_name, opsets={o.domain: o.version for o in model.opset_import},
               nodes=[node(n) for n in g.node], inputs=[info(v) for v in g.input], outputs=[info(v) for v in g.output],
               initializers=[tensor(t) for t in g.initializer],
               unknownBytes=size - model.ByteSize()), sys.stdout)
`;

function readBack(model: Uint8Array): unknown {
  const { status, stdout, stderr } = spawnSync(PYTHON!, ["-c", READER], { input: model, maxBuffer: 2 ** 27 });
  if (status !== 0) throw new Error(`${PYTHON}: ${stderr}`);
  return JSON.parse(stdout.toString());
}

const everything: OnnxGraph = {
  nodes: [
    {
      opType: "FusedMatMul",
      domain: "com.microsoft",
      name: "scores",
      inputs: ["query", "key"],
      outputs: ["scores"],
      attributes: { alpha: { float: 0.125 }, transB: { int: 1 }, transA: { int: 0 } },
    },
    { opType: "Clip", inputs: ["scores", "", "limit"], outputs: ["clipped"] },
    {
      opType: "Everything",
      inputs: [],
      outputs: ["", "Größe/λ"],
      attributes: {
        zero: { int: 0 },
        minusOne: { int: -1 },
        beyond31: { int: 2 ** 31 },
        belowMinus31: { int: -(2 ** 31) - 1 },
        beyond53: { int: 2n ** 53n + 1n },
        largest: { int: 2n ** 63n - 1n },
        smallest: { int: -(2n ** 63n) },
        negativeFloat: { float: -1.5 },
        reduction: { string: "añd ✓" },
        noInts: { ints: [] },
        ints: { ints: [0, 127, 128, -1, 2 ** 40, -(2 ** 40), 2n ** 62n] },
        floats: { floats: [0, -0.5, 3.4028234663852886e38] },
        value: { tensor: { dtype: "int32", shape: [2, 1], data: Int32Array.of(-1, 2 ** 31 - 1) } },
      },
    },
  ],
  inputs: [
    { name: "query", dtype: "float32", shape: [2, 3, 4] },
    { name: "mask", dtype: "bool", shape: [1] },
    { name: "scalar", dtype: "int64", shape: [] },
  ],
  outputs: [{ name: "Größe/λ", dtype: "uint8", shape: [0, 70_000] }],
  initializers: [
    { name: "limit", dtype: "float32", shape: [], data: Float32Array.of(0.1) },
    { name: "view", dtype: "uint8", shape: [3], data: Uint8Array.of(9, 1, 0, 255, 9).subarray(1, 4) },
    { name: "flags", dtype: "bool", shape: [2], data: Uint8Array.of(1, 0) },
    { name: "half", dtype: "float16", shape: [1], data: Uint16Array.of(0x3c00) },
    { name: "brain", dtype: "bfloat16", shape: [1], data: Uint16Array.of(0x3f80) },
    { name: "codes", dtype: "uint16", shape: [1], data: Uint16Array.of(0xfffe) },
    { name: "hash", dtype: "uint32", shape: [1], data: Uint32Array.of(0xfffffffe) },
    { name: "empty", dtype: "float32", shape: [0, 3], data: new Float32Array(0) },
    { name: "large", dtype: "uint8", shape: [70_000], data: new Uint8Array(70_000).map((_, i) => i * 7) },
    int64Initializer("axes", [-1, 0, 2 ** 40]),
    int64Initializer("axis", [3n], []),
  ],
};

const bytesOf = (data: ArrayBufferView): number[] => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];

describe.skipIf(PYTHON === null)("an independent reader", () => {
  test("finds in the model what was written", () => {
    const read = readBack(
      encodeModel(everything, { irVersion: 11, opsets: { "": 22, "com.microsoft": 1, other: 300 } }),
    );
    const info = (name: string, type: string, shape: number[]) => ({ name, type, shape, ranked: true });
    const tensor = (name: string, type: string, shape: number[], data: ArrayBufferView) => ({
      name,
      type,
      shape,
      bytes: bytesOf(data),
    });
    expect(read).toEqual({
      irVersion: 11,
      producer: "highrank",
      opsets: { "": 22, "com.microsoft": 1, other: 300 },
      unknownBytes: 0,
      nodes: [
        {
          opType: "FusedMatMul",
          domain: "com.microsoft",
          name: "scores",
          inputs: ["query", "key"],
          outputs: ["scores"],
          attributes: { alpha: ["FLOAT", 0.125], transB: ["INT", "1"], transA: ["INT", "0"] },
        },
        {
          opType: "Clip",
          domain: "",
          name: "",
          inputs: ["scores", "", "limit"],
          outputs: ["clipped"],
          attributes: {},
        },
        {
          opType: "Everything",
          domain: "",
          name: "",
          inputs: [],
          outputs: ["", "Größe/λ"],
          attributes: {
            zero: ["INT", "0"],
            minusOne: ["INT", "-1"],
            beyond31: ["INT", "2147483648"],
            belowMinus31: ["INT", "-2147483649"],
            beyond53: ["INT", "9007199254740993"],
            largest: ["INT", "9223372036854775807"],
            smallest: ["INT", "-9223372036854775808"],
            negativeFloat: ["FLOAT", -1.5],
            reduction: ["STRING", "añd ✓"],
            noInts: ["INTS", []],
            ints: ["INTS", ["0", "127", "128", "-1", "1099511627776", "-1099511627776", "4611686018427387904"]],
            floats: ["FLOATS", [0, -0.5, 3.4028234663852886e38]],
            value: ["TENSOR", tensor("value", "INT32", [2, 1], Int32Array.of(-1, 2 ** 31 - 1))],
          },
        },
      ],
      inputs: [info("query", "FLOAT", [2, 3, 4]), info("mask", "BOOL", [1]), info("scalar", "INT64", [])],
      outputs: [info("Größe/λ", "UINT8", [0, 70_000])],
      initializers: [
        tensor("limit", "FLOAT", [], Float32Array.of(0.1)),
        tensor("view", "UINT8", [3], Uint8Array.of(1, 0, 255)),
        tensor("flags", "BOOL", [2], Uint8Array.of(1, 0)),
        tensor("half", "FLOAT16", [1], Uint16Array.of(0x3c00)),
        tensor("brain", "BFLOAT16", [1], Uint16Array.of(0x3f80)),
        tensor("codes", "UINT16", [1], Uint16Array.of(0xfffe)),
        tensor("hash", "UINT32", [1], Uint32Array.of(0xfffffffe)),
        tensor("empty", "FLOAT", [0, 3], new Float32Array(0)),
        tensor(
          "large",
          "UINT8",
          [70_000],
          new Uint8Array(70_000).map((_, i) => i * 7),
        ),
        tensor("axes", "INT64", [3], BigInt64Array.of(-1n, 0n, 2n ** 40n)),
        tensor("axis", "INT64", [], BigInt64Array.of(3n)),
      ],
    });
  });

  test("finds the default versions", () => {
    const read = readBack(encodeModel({ nodes: [], inputs: [], outputs: [], initializers: [] }));
    expect(read).toMatchObject({ irVersion: 10, opsets: { "": 23, "com.microsoft": 1 }, nodes: [], initializers: [] });
  });
});

describe("encodeModel", () => {
  test("gives equal bytes for equal graphs", () => {
    expect(encodeModel(everything)).toEqual(encodeModel(structuredClone(everything)));
  });

  test("refuses data that does not fill the shape", () => {
    const initializers = [{ name: "w", dtype: "float32", shape: [2, 3], data: new Float32Array(5) }] as const;
    expect(() => encodeModel({ nodes: [], inputs: [], outputs: [], initializers })).toThrow(ShapeError);
  });

  test("refuses an array of another type than the tensor's", () => {
    const initializers = [{ name: "w", dtype: "float32", shape: [1], data: new Int32Array(1) }] as const;
    expect(() => encodeModel({ nodes: [], inputs: [], outputs: [], initializers })).toThrow(DTypeError);
  });

  test.each([0.5, 2 ** 53, Number.NaN, 2n ** 63n])("refuses the integer %s", (value) => {
    const nodes = [{ opType: "Cast", inputs: ["x"], outputs: ["y"], attributes: { to: { int: value } } }];
    expect(() => encodeModel({ nodes, inputs: [], outputs: [], initializers: [] })).toThrow(DTypeError);
  });
});

test("ONNX Runtime runs a model with attributes, initializers and an input left out", async () => {
  const model = encodeModel({
    nodes: [
      {
        opType: "Gemm",
        inputs: ["x", "weight"],
        outputs: ["product"],
        attributes: { transB: { int: 1 }, alpha: { float: 2 } },
      },
      { opType: "Clip", inputs: ["product", "", "limit"], outputs: ["clipped"] },
      {
        opType: "ReduceSum",
        inputs: ["clipped", "axes"],
        outputs: ["sum"],
        attributes: { keepdims: { int: 0 } },
      },
    ],
    inputs: [{ name: "x", dtype: "float32", shape: [1, 2] }],
    outputs: [{ name: "sum", dtype: "float32", shape: [1] }],
    initializers: [
      { name: "weight", dtype: "float32", shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, -5, 6) },
      { name: "limit", dtype: "float32", shape: [], data: Float32Array.of(20) },
      int64Initializer("axes", [-1]),
    ],
  });
  const session = await createSession(model, { device: "cpu", threads: 1 });
  const { sum } = await session.run({ x: { dtype: "float32", shape: [1, 2], data: Float32Array.of(1, 2) } }, ["sum"]);
  await session.release();
  // 2·x·Wᵀ = [10, 22, 14], of which 22 is clipped to 20.
  expect(sum).toEqual({ dtype: "float32", shape: [1], data: Float32Array.of(44) });
});
