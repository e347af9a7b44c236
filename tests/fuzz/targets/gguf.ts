import { mkdir } from "node:fs/promises";
import path from "node:path";
import { exists } from "#platform";
import { openGguf } from "../../../src/gguf/open-gguf.js";
import type { GgufValue } from "../../../src/gguf/types.js";
import { writeGguf } from "../../../src/gguf/write-gguf.js";
import { sizeOf } from "../../../src/tensor/shape.js";
import { expectThat, type FuzzTarget } from "../target.js";

const METADATA = new Map<string, GgufValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["general.file_type", { type: "uint32", value: 7 }],
  ["llama.rope.freq_base", { type: "float32", value: 10000 }],
  ["tokenizer.ggml.tokens", { type: "array", of: "string", count: 3, items: ["a", "é", ""] }],
  ["tokenizer.ggml.scores", { type: "array", of: "float32", count: 3, items: [0, -1, -2] }],
  ["nested", { type: "array", of: "array", count: 1, items: [{ type: "array", of: "bool", count: 1, items: [true] }] }],
]);

export const gguf: FuzzTarget = {
  name: "gguf",
  sources: ["gguf/header", "gguf/open-gguf", "gguf/gguf-tensor", "files/file-span"],
  writeSamples: async (folder) => {
    const data = Float32Array.from({ length: 512 }, (_, i) => i / 4 - 64);
    const matrix = { dtype: "float32", shape: [2, 256], data } as const;
    const vector = { dtype: "float32", shape: [6], data: data.subarray(0, 6) } as const;
    await mkdir(path.join(folder, "whole"), { recursive: true });
    await writeGguf(path.join(folder, "whole", "model.gguf"), {
      metadata: METADATA,
      tensors: new Map([
        ["norm", { tensor: vector, type: "F32" }],
        ["half", { tensor: vector, type: "F16" }],
        ["codes", { tensor: matrix, type: "Q8_0" }],
        ["searched", { tensor: matrix, type: "Q4_K" }],
      ]),
    });
    await mkdir(path.join(folder, "split"), { recursive: true });
    for (const number of [0, 1]) {
      await writeGguf(path.join(folder, "split", `model-0000${number + 1}-of-00002.gguf`), {
        metadata: new Map([
          ["split.no", { type: "uint16", value: number }],
          ["split.count", { type: "uint16", value: 2 }],
        ]),
        tensors: new Map([[`norm.${number}`, { tensor: vector, type: "F32" }]]),
      });
    }
  },
  run: async (folder) => {
    const [whole, parts] = ["model.gguf", "model-00001-of-00002.gguf"].map((name) => path.join(folder, name));
    await readAll(await openGguf((await exists(whole!)) ? whole! : parts!, { lists: true }));
  },
};

async function readAll({ metadata, tensors }: Awaited<ReturnType<typeof openGguf>>): Promise<void> {
  for (const { type, ...value } of metadata.values()) {
    const isSound = "items" in value ? value.items?.length === value.count : "value" in value;
    expectThat(isSound, `a value of type ${type} is none`);
  }
  for (const tensor of tensors.values()) {
    expectThat((await tensor.read()).length === sizeOf(tensor.shape), "a length is not its shape's");
  }
}
