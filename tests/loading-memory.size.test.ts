import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { storeAs } from "../src/files/lazy-tensor.js";
import { diskParameters, writeModel } from "../src/loading/model-source.js";
import { LlamaForCausalLM } from "../src/models/llama.js";
import { llamaConfig, writeLlamaConfig } from "../src/models/llama-config.js";
import { Rng } from "../src/tensor/random.js";
import { trainTokenizer } from "../src/tokenizers/train-tokenizer.js";
import { exportTarget } from "../src/verbs/export.js";
import type { WriterOptions } from "../src/verbs/generate.js";
import { withFolder } from "./run-command.js";
import { TEXT } from "./small-model.js";

const SCRIPT = fileURLToPath(new URL("memory/load.mjs", import.meta.url));

/** Writes a model of bfloat16 and returns the bytes of its weights' file. */
async function writeLargeModel(folder: string): Promise<number> {
  const sizes = { hiddenSize: 1024, intermediateSize: 2736, numLayers: 4, numHeads: 16, vocabSize: 30_000 };
  const config = llamaConfig({ ...sizes, maxSequenceLength: 128 });
  const rng = new Rng(0);
  const period = Float32Array.from({ length: 65_521 }, () => 0.02 * rng.normal());
  const valuesOf = (size: number): Float32Array => {
    const values = new Float32Array(size);
    for (let start = 0; start < size; start += period.length) values.set(period.subarray(0, size - start), start);
    return values;
  };
  const tensors = [...diskParameters(new LlamaForCausalLM(config, rng))].map(([name, { shape, size }]) => {
    return [name, storeAs({ dtype: "float32", shape, read: async () => valuesOf(size) }, "BF16")] as const;
  });
  const tokenizer = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 128 });
  await writeModel(folder, {
    config: writeLlamaConfig(config),
    tensors: new Map(tensors),
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
      ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
    ]),
  });
  return statSync(path.join(folder, "model.safetensors")).size;
}

function load(folder: string, options: Partial<WriterOptions>): { readonly ready: number; readonly generated: number } {
  const args = [SCRIPT, folder, JSON.stringify(options)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test.skipIf(!existsSync("/proc/self/status"))("loading 16-bit floats takes no more memory than keeping them", () =>
  withFolder({}, async (cwd) => {
    const folder = path.join(cwd, "model");
    const fileBytes = await writeLargeModel(folder);
    expect(fileBytes).toBeGreaterThan(2e8);
    const { ready, generated } = load(folder, { keepQuantized: true });
    // A float32 copy of the embeddings alone would be half as large again.
    expect(ready / fileBytes).toBeLessThan(1.25);
    // With ONNX Runtime, its sessions, the cache, and pieces of weights in float32.
    expect((generated - ready) / fileBytes).toBeLessThan(0.5);
    expect(load(folder, { float32: true }).ready / fileBytes).toBeGreaterThan(1.9);
  }),
);

test.skipIf(!existsSync("/proc/self/status"))(
  "loading a GGUF file takes its widened weights, and 200 MB at most beside",
  () =>
    withFolder({}, async (cwd) => {
      const [folder, file] = [path.join(cwd, "model"), path.join(cwd, "model.gguf")];
      const widenedBytes = 2 * (await writeLargeModel(folder));
      await exportTarget(folder, { base: null, to: "gguf", dtype: null, type: "q8_0", out: file });
      expect(statSync(file).size).toBeGreaterThan(1e8);
      const { ready } = load(file, {});
      expect(ready - widenedBytes).toBeLessThan(2e8);
    }),
);
