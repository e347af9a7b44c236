import { writeFile } from "node:fs/promises";
import path from "node:path";
import { readPeftAdapter, writePeftAdapter } from "../../../src/formats/peft.js";
import type { HostTensor } from "../../../src/tensor/dtype.js";
import { expectThat, type FuzzTarget } from "../target.js";

const matrix = (...shape: number[]): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 8),
});

export const peft: FuzzTarget = {
  name: "PEFT adapter",
  sources: ["formats/peft", "formats/peft-config", "formats/peft-tensors"],
  writeSamples: async (folder) => {
    const pair = { loraA: matrix(2, 4), loraB: matrix(3, 2) };
    const adapter = {
      baseModel: "base",
      rank: 2,
      alpha: 4,
      dropout: 0.1,
      useRslora: true,
      targetModules: ["q_proj", "up_proj"],
    };
    await writePeftAdapter(path.join(folder, "full"), {
      ...adapter,
      base: { sha256: "0".repeat(64), quantizer: "nf4 in blocks of 64" },
      layers: new Map([
        ["model.layers.0.self_attn.q_proj", pair],
        ["model.layers.0.mlp.up_proj", pair],
      ]),
      modulesToSave: new Map([["lm_head.weight", matrix(5, 3)]]),
    });
    const plain = path.join(folder, "plain");
    await writePeftAdapter(plain, {
      ...adapter,
      layers: new Map([["model.layers.1.self_attn.q_proj", pair]]),
      modulesToSave: new Map(),
    });
    // As PEFT writes them: all its fields, targets as a pattern.
    const fields = {
      peft_type: "LORA",
      r: 2,
      lora_alpha: 16,
      target_modules: ".*q_proj",
      rank_pattern: { "q_pr(?:oj|x)": 2, "layers\\.0\\..*": 4 },
      alpha_pattern: { q_proj: 3.5 },
      exclude_modules: ["k_proj"],
      layer_replication: null,
      eva_config: null,
    };
    await writeFile(path.join(plain, "adapter_config.json"), JSON.stringify(fields));
    const vector = matrix(3);
    await writePeftAdapter(path.join(folder, "every-kind"), {
      ...{ ...adapter, useDora: true, bias: "lora_only", fanInFanOut: true, tiesWeights: true },
      ...{ layersToTransform: [0, 1], layersPattern: ["layers"], excludeModules: ["k_proj"] },
      ...{ rankPattern: { up_proj: 2 }, alphaPattern: { "0\\..*": 3 }, tokenIndices: { embed_tokens: [0, 2] } },
      targetModules: ["q_proj", "model.embed_tokens"],
      layers: new Map([["model.layers.0.self_attn.q_proj", { ...pair, magnitude: vector }]]),
      embeddings: new Map([["model.embed_tokens", { loraA: matrix(2, 5), loraB: matrix(3, 2), magnitude: vector }]]),
      tokens: new Map([["model.embed_tokens", matrix(2, 3)]]),
      biases: new Map([["model.layers.0.self_attn.q_proj.bias", vector]]),
      modulesToSave: new Map([["model.embed_tokens.weight", matrix(5, 3)]]),
    });
  },
  run: async (folder) => {
    const { rank, alpha, dropout, layers, targetModules } = await readPeftAdapter(folder);
    expectThat(Number.isSafeInteger(rank) && Number.isFinite(alpha) && dropout < 1, "a number is none");
    expectThat(
      typeof targetModules === "string" || targetModules.every((name) => typeof name === "string"),
      "a target is no text",
    );
    for (const { loraA, loraB } of layers.values())
      expectThat(loraA.shape[0] === loraB.shape[1], "a pair does not fit");
  },
};
