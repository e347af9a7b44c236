import { writeFile } from "node:fs/promises";
import path from "node:path";
import { readPeftAdapter, writePeftAdapter } from "../../../src/checkpoints/peft.js";
import type { HostTensor } from "../../../src/tensor/dtype.js";
import { expectThat, type FuzzTarget } from "../target.js";

const matrix = (...shape: number[]): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 8),
});

export const peft: FuzzTarget = {
  name: "PEFT adapter",
  sources: ["checkpoints/peft", "checkpoints/peft-config"],
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
      rank_pattern: {},
      layer_replication: null,
      eva_config: null,
    };
    await writeFile(path.join(plain, "adapter_config.json"), JSON.stringify(fields));
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
