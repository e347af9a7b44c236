import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import type { GgufValue } from "../gguf/types.js";
import { writeGguf } from "../gguf/write-gguf.js";
import { inspectPath } from "./inspect-files.js";

test("a GGUF file is shown with its keys, its tensors, and what those of each type take", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-inspect-"));
  try {
    const file = path.join(folder, "model.gguf");
    const tokens = Array.from({ length: 100 }, (_, i) => `t${i}`);
    const metadata = new Map<string, GgufValue>([
      ["general.architecture", { type: "string", value: "llama" }],
      ["llama.block_count", { type: "uint32", value: 2 }],
      ["short", { type: "array", of: "int32", count: 2, items: [1, 2] }],
      ["tokenizer.ggml.tokens", { type: "array", of: "string", count: 100, items: tokens }],
    ]);
    const tensor = (...shape: number[]) =>
      ({ dtype: "float32", shape, data: new Float32Array(shape.reduce((a, b) => a * b)) }) as const;
    await writeGguf(file, {
      metadata,
      tensors: new Map([
        ["blk.10.w", { tensor: tensor(4, 64), type: "Q8_0" }],
        ["blk.2.w", { tensor: tensor(2, 32), type: "Q8_0" }],
        ["norm", { tensor: tensor(64), type: "F32" }],
      ]),
    });
    expect(await inspectPath(file)).toEqual({
      kind: "gguf",
      version: 3,
      metadata: {
        "general.architecture": "llama",
        "llama.block_count": 2,
        short: [1, 2],
        "tokenizer.ggml.tokens": "a list of 100 values of type string",
      },
      parameters: 384,
      tensors: [
        { name: "blk.2.w", dtype: "Q8_0", shape: [2, 32] },
        { name: "blk.10.w", dtype: "Q8_0", shape: [4, 64] },
        { name: "norm", dtype: "F32", shape: [64] },
      ],
      types: [
        { type: "Q8_0", tensors: 2, parameters: 320, bytes: 340 },
        { type: "F32", tensors: 1, parameters: 64, bytes: 256 },
      ],
      files: [file],
      fileBytes: expect.any(Number),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
