import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { encodeModel, modelChunks, type OnnxGraph } from "../compiler/onnx-model.js";
import { readOnnxHeader } from "./onnx-header.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-onnx-header-"));
});
afterAll(() => rm(folder, { recursive: true }));

const GRAPH: OnnxGraph = {
  nodes: [
    { opType: "Add", inputs: ["x", "w"], outputs: ["a"] },
    { opType: "Add", inputs: ["a", "b"], outputs: ["c"], attributes: { axis: { int: -1 }, names: { string: "x" } } },
    { opType: "Twist", domain: "elsewhere", inputs: ["c"], outputs: ["y"] },
  ],
  inputs: [{ name: "x", dtype: "int64", shape: ["batch_size", 3] }],
  outputs: [{ name: "y", dtype: "float32", shape: [] }],
  initializers: [
    { name: "w", dtype: "float32", shape: [500, 400], data: new Float32Array(200_000) },
    { name: "b", dtype: "float16", shape: [3], data: new Uint16Array(3) },
    { name: "far", dtype: "int8", shape: [2, 5], content: { location: "model.onnx_data", offset: 4096 } },
  ],
};

async function write(name: string, bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, bytes);
  return file;
}

test("a header lists operators, initializers, inputs and outputs", async () => {
  const file = await write("model.onnx", encodeModel(GRAPH, { irVersion: 8, opsets: { "": 17, elsewhere: 2 } }));
  expect(await readOnnxHeader(file)).toEqual({
    irVersion: 8,
    producer: "highrank",
    opsets: { "": 17, elsewhere: 2 },
    operators: { Add: 2, "elsewhere.Twist": 1 },
    inputs: [{ name: "x", dtype: "INT64", shape: ["batch_size", 3] }],
    outputs: [{ name: "y", dtype: "FLOAT", shape: [] }],
    initializers: [
      { name: "w", dtype: "FLOAT", shape: [500, 400] },
      { name: "b", dtype: "FLOAT16", shape: [3] },
      { name: "far", dtype: "INT8", shape: [2, 5] },
    ],
    dataFiles: ["model.onnx_data"],
  });
});

test("content read while the model is written gives the same file, and must have the declared length", async () => {
  const stored = (lengths: readonly number[]): OnnxGraph => ({
    ...GRAPH,
    initializers: GRAPH.initializers.map((tensor) => {
      if (tensor.name !== "w") return tensor;
      const chunks = async function* () {
        for (const length of lengths) yield new Uint8Array(length);
      };
      return { name: "w", dtype: "float32", shape: [500, 400], content: { chunks } };
    }),
  });
  const written = async (graph: OnnxGraph): Promise<Buffer> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of modelChunks(graph)) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  expect((await written(stored([300_000, 500_000]))).equals(encodeModel(GRAPH))).toBe(true);
  await expect(written(stored([300_000]))).rejects.toThrow(/must be 800000 bytes, is 300000/);
  expect(() => encodeModel(stored([800_000]))).toThrow(/must be written in chunks/);
});

test("a truncated file, an unknown kind or no model is reported in words", async () => {
  const whole = encodeModel(GRAPH);
  for (const [name, bytes, fault] of [
    ["empty", new Uint8Array(0), /it has no graph/],
    ["text", new TextEncoder().encode("this is text"), /is not an ONNX model/],
    ["cut", whole.slice(0, 100_000), /past its end/],
    ["zero", Uint8Array.of(0, 0), /begins no field/],
    ["long number", new Uint8Array(20).fill(0xff), /more than 64 bits/],
    ["kind", Uint8Array.of(0x0b), /of the unknown kind 3/],
    ["number for graph", Uint8Array.of(0x38, 1), /field 7 holds a number/],
  ] as const) {
    const reading = readOnnxHeader(await write(name, bytes));
    await expect(reading, name).rejects.toThrow(CheckpointError);
    await expect(reading, name).rejects.toThrow(fault);
  }
});

test("changing any byte leads to a header or a CheckpointError", async () => {
  const graph = { ...GRAPH, initializers: GRAPH.initializers.slice(1) };
  const whole = encodeModel(graph);
  let faults = 0;
  for (let i = 0; i < whole.length; i++) {
    const changed = whole.slice();
    changed[i] = changed[i]! ^ (1 + ((i * 37) % 255));
    await readOnnxHeader(await write("changed", changed)).catch((error) => {
      expect(error).toBeInstanceOf(CheckpointError);
      faults++;
    });
  }
  expect(faults).toBeGreaterThan(whole.length / 10);
});
