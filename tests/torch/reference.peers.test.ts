import { describe, expect, test } from "vitest";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { peersAvailable } from "../peers/peer.js";
import { type LlamaConfigJson, runTorchReference, type TorchInputs } from "./reference.js";

const CONFIG: LlamaConfigJson = {
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  tie_word_embeddings: true,
  vocab_size: 11,
};
const QUERY = "model.layers.0.self_attn.q_proj";

/** Values spread over [-1.5, 1.5], the same on every run. */
function filled(seed: number, ...shape: number[]): HostTensor {
  const length = shape.reduce((product, size) => product * size, 1);
  return {
    dtype: "float32",
    shape,
    data: Float32Array.from({ length }, (_, i) => (Math.sin(seed + 12.9898 * i) * 43758.5453) % 1.5),
  };
}

function int32(values: number[]): HostTensor {
  return { dtype: "int32", shape: [1, values.length], data: Int32Array.from(values) };
}

function smallModel(weights: Iterable<[string, HostTensor]> = []): TorchInputs {
  const layer = "model.layers.0.";
  return {
    config: CONFIG,
    weights: new Map([
      ["model.embed_tokens.weight", filled(1, 11, 8)],
      [`${QUERY}.weight`, filled(2, 8, 8)],
      [`${layer}self_attn.k_proj.weight`, filled(3, 4, 8)],
      [`${layer}self_attn.v_proj.weight`, filled(4, 4, 8)],
      [`${layer}self_attn.o_proj.weight`, filled(5, 8, 8)],
      [`${layer}mlp.gate_proj.weight`, filled(6, 12, 8)],
      [`${layer}mlp.up_proj.weight`, filled(7, 12, 8)],
      [`${layer}mlp.down_proj.weight`, filled(8, 8, 12)],
      [`${layer}input_layernorm.weight`, filled(9, 8)],
      [`${layer}post_attention_layernorm.weight`, filled(10, 8)],
      ["model.norm.weight", filled(11, 8)],
      ...weights,
    ]),
    inputIds: int32([3, 1, 4, 1, 5]),
    labels: int32([1, 4, 1, 5, -100]),
    loraScaling: 0.5,
    dtype: "float64",
  };
}

describe.runIf(peersAvailable())("the PyTorch reference", () => {
  test("scores the positions whose label is not -100, each against its own label", async () => {
    const { loss, logits } = await runTorchReference(smallModel());
    let sum = 0;
    [1, 4, 1, 5].forEach((label, position) => {
      const row = Array.from(logits.data.subarray(11 * position, 11 * (position + 1)));
      sum += Math.log(row.reduce((total, logit) => total + Math.exp(logit), 0)) - row[label]!;
    });
    expect(logits.shape).toEqual([1, 5, 11]);
    expect(loss).toBeCloseTo(sum / 4, 6);
  });

  test("sees the past only", async () => {
    const model = smallModel();
    const { logits } = await runTorchReference(model);
    const { logits: changed } = await runTorchReference({ ...model, inputIds: int32([3, 1, 4, 1, 9]) });
    expect(Array.from(changed.data.subarray(0, 44))).toEqual(Array.from(logits.data.subarray(0, 44)));
    expect(Array.from(changed.data.subarray(44))).not.toEqual(Array.from(logits.data.subarray(44)));
  });

  test("gives the gradient that finite differences give, through a tied embedding and an adapter", async () => {
    const adapter: [string, HostTensor][] = [
      [`${QUERY}.lora_A.weight`, filled(20, 2, 8)],
      [`${QUERY}.lora_B.weight`, filled(21, 8, 2)],
    ];
    const model = smallModel(adapter);
    const { gradients } = await runTorchReference(model);
    expect([...gradients.keys()].sort()).toEqual([...model.weights.keys()].sort());
    for (const name of ["model.embed_tokens.weight", `${QUERY}.lora_A.weight`]) {
      const gradient = Array.from(gradients.get(name)!.data);
      const index = gradient.reduce((best, value, i) => (Math.abs(value) > Math.abs(gradient[best]!) ? i : best), 0);
      const step = 0.01;
      const losses: number[] = [];
      for (const sign of [1, -1]) {
        const tensor = model.weights.get(name)!;
        const data = Float32Array.from(tensor.data);
        data[index]! += sign * step;
        const weights = new Map([...model.weights, [name, { ...tensor, data }]]);
        losses.push((await runTorchReference({ ...model, weights })).loss);
      }
      const difference = (losses[0]! - losses[1]!) / (2 * step);
      expect(Math.abs(difference)).toBeGreaterThan(1e-3);
      expect(gradient[index]! / difference).toBeCloseTo(1, 2);
    }
  });

  test("an adapter adds scaling times B A to its weight", async () => {
    const loraA = filled(20, 2, 8);
    const loraB = filled(21, 8, 2);
    const adapted = await runTorchReference(
      smallModel([
        [`${QUERY}.lora_A.weight`, loraA],
        [`${QUERY}.lora_B.weight`, loraB],
      ]),
    );
    const merged = filled(2, 8, 8);
    for (let i = 0; i < 64; i++) {
      const [out, input] = [Math.floor(i / 8), i % 8];
      for (let r = 0; r < 2; r++) merged.data[i]! += 0.5 * loraB.data[2 * out + r]! * loraA.data[8 * r + input]!;
    }
    const { loss } = await runTorchReference(smallModel([[`${QUERY}.weight`, merged]]));
    expect(loss).toBeCloseTo(adapted.loss, 6);
  });

  test("refuses tensors that no part of the model uses", async () => {
    await expect(
      runTorchReference(smallModel([["model.layers.7.mlp.up_proj.weight", filled(1, 2, 2)]])),
    ).rejects.toThrow(/model\.layers\.7/);
  });
});
