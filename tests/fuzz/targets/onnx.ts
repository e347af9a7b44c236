import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { encodeModel } from "../../../src/compiler/onnx-model.js";
import { readOnnxHeader } from "../../../src/formats/onnx-header.js";
import { expectThat, type FuzzTarget } from "../target.js";

export const onnx: FuzzTarget = {
  name: "onnx",
  sources: ["formats/onnx-header", "files/open-file"],
  writeSamples: async (folder) => {
    await mkdir(path.join(folder, "model"), { recursive: true });
    const model = encodeModel({
      nodes: [
        { opType: "Add", inputs: ["x", "w"], outputs: ["a"], attributes: { axes: { ints: [1, -2] } } },
        { opType: "Twist", domain: "elsewhere", inputs: ["a", "far"], outputs: ["y"] },
      ],
      inputs: [{ name: "x", dtype: "int64", shape: ["batch_size", 3] }],
      outputs: [{ name: "y", dtype: "float32", shape: [] }],
      initializers: [
        { name: "w", dtype: "float32", shape: [4, 3], data: new Float32Array(12) },
        { name: "far", dtype: "int8", shape: [2, 500], content: { location: "model.onnx_data", offset: 4096 } },
      ],
    });
    await writeFile(path.join(folder, "model", "model.onnx"), model);
  },
  run: async (folder) => {
    const { irVersion, initializers } = await readOnnxHeader(path.join(folder, "model.onnx"));
    expectThat(irVersion > 0, "there is no version");
    const sizes = initializers.flatMap(({ shape }) => shape);
    expectThat(
      sizes.every((size) => Number.isSafeInteger(size) && size >= 0),
      "a size is none",
    );
  },
};
