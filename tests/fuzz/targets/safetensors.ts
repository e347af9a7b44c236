import { mkdir } from "node:fs/promises";
import path from "node:path";
import { storeAs } from "../../../src/files/lazy-tensor.js";
import { readSafetensors, writeSafetensors } from "../../../src/files/safetensors.js";
import { sizeOf } from "../../../src/tensor/shape.js";
import { expectThat, type FuzzTarget } from "../target.js";

export const safetensors: FuzzTarget = {
  name: "safetensors",
  sources: ["files/safetensors-header", "files/safetensors", "files/stored-tensor", "files/open-file"],
  writeSamples: async (folder) => {
    await mkdir(path.join(folder, "mixed"), { recursive: true });
    const values = Float32Array.from({ length: 24 }, (_, i) => i / 4 - 2);
    await writeSafetensors(
      path.join(folder, "mixed", "model.safetensors"),
      new Map([
        ["model.norm.weight", { dtype: "float32", shape: [24], data: values }],
        ["half", storeAs({ dtype: "float32", shape: [4, 6], data: values }, "F16")],
        ["brain", storeAs({ dtype: "float32", shape: [2, 3, 4], data: values }, "BF16")],
        ["ids", { dtype: "int32", shape: [3], data: Int32Array.of(1, -2, 3) }],
        ["codes", { dtype: "int8", shape: [5], data: Int8Array.of(1, -2, 3, 4, 5) }],
        ["bytes", { dtype: "uint8", shape: [0, 7], data: new Uint8Array(0) }],
        ["mask", { dtype: "bool", shape: [], data: Uint8Array.of(1) }],
      ]),
      { format: "pt", note: "é" },
    );
  },
  run: async (folder) => {
    const { tensors, metadata } = await readSafetensors(path.join(folder, "model.safetensors"));
    for (const { shape, data } of tensors.values())
      expectThat(data.length === sizeOf(shape), "a length is not its shape's");
    expectThat(
      Object.values(metadata).every((value) => typeof value === "string"),
      "metadata is not text",
    );
  },
};
