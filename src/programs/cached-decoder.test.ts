import { describe, expect, test } from "vitest";
import { SMALL_CONFIGS, type SmallConfig, smallModel } from "../../tests/architectures/small-configs.js";
import { DoRAAdapter } from "../adapters/dora-adapter.js";
import { type InjectionOptions, injectAdapters, linearLayers } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Linear } from "../nn/linear.js";
import { createQuantizedWeight, QuantizedLinear } from "../quant/quantized-linear.js";
import { createQuantizer } from "../quant/quantizer.js";
import { Program } from "../runtime/program.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { CachedDecoder } from "./cached-decoder.js";

const MACHINE = { device: "cpu", threads: 2 } as const;
const VOCABULARY = 31;

/** Sequences that outgrow the window of a layer and the room that a cache has at first. */
const LONGEST = 300;

function modelOf(config: SmallConfig, change: Readonly<Record<string, unknown>> = {}): CausalLM {
  const longer = { max_position_embeddings: LONGEST, n_positions: LONGEST };
  return smallModel(config, { ...longer, ...change });
}

const randomIds = (count: number): number[] => {
  const rng = new Rng(count, "ids");
  return Array.from({ length: count }, () => rng.below(VOCABULARY));
};

/** Logits after each token, by the graph that training uses. */
async function wholeLogits(model: CausalLM, ids: readonly number[]): Promise<Float32Array[]> {
  const logits = model.logits(tensor(Int32Array.from(ids), [1, ids.length]));
  const program = await Program.compile({ logits }, MACHINE);
  const { data } = (await program.run()).logits!;
  await program.release();
  return ids.map((_, i) => (data as Float32Array).slice(i * VOCABULARY, (i + 1) * VOCABULARY));
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

/** Reads in parts of these lengths, and compares with the logits of the whole. */
async function expectSame(model: CausalLM, decoder: CachedDecoder, parts: readonly number[]): Promise<void> {
  const ids = randomIds(parts.reduce((sum, part) => sum + part, 0));
  const expected = await wholeLogits(model, ids);
  decoder.clear();
  for (const part of parts) {
    const start = decoder.lengthOf();
    const logits = await decoder.read(ids.slice(start, start + part));
    expect(decoder.lengthOf()).toBe(start + part);
    expect(largestDifference(logits, expected[start + part - 1]!), `after ${decoder.lengthOf()} tokens`).toBeLessThan(
      2e-5,
    );
  }
}

const ones = (count: number): number[] => new Array<number>(count).fill(1);

describe.each(Object.keys(SMALL_CONFIGS) as SmallConfig[])("%s", (config) => {
  test("has the logits of the whole text, however it is cut", async () => {
    const model = modelOf(config);
    const decoder = new CachedDecoder(model, MACHINE);
    for (const parts of [ones(12), [7, ...ones(5)], [2, 9, 1, 30, 1, 1], [130, ...ones(3), 5, 1], [257, 40, 1, 1]]) {
      await expectSame(model, decoder, parts);
    }
    await decoder.release();
  });
});

test.each([1, 2, 8, 32, 33, 34, 129])("a window of %i tokens in a text of many more", async (window) => {
  const model = modelOf("gemma3_text, with sliding windows and two kinds of positions", { sliding_window: window });
  const decoder = new CachedDecoder(model, MACHINE);
  for (const parts of [[20, ...ones(40)], [150, ...ones(5)], ones(140)]) await expectSame(model, decoder, parts);
  await decoder.release();
});

describe.each(["nf4", "int8"] as const)("adapters on %s, unmerged", (format) => {
  test.each([
    ["LoRA", LoRAAdapter],
    ["DoRA", DoRAAdapter],
  ] as const)("%s", async (_, Adapter) => {
    const model = modelOf("llama with shared key heads and a tied head");
    for (const { slot, linear } of linearLayers(model).values()) {
      const weight = createQuantizedWeight([linear.outFeatures, linear.inFeatures], createQuantizer(format));
      weight.assign((linear as Linear).weight.values);
      slot.replace(new QuantizedLinear(weight));
    }
    const base = await wholeLogits(model, [3, 5, 8]);
    const createAdapter: InjectionOptions["createAdapter"] = (inFeatures, outFeatures, rng, _name, weight) => {
      const adapter = new Adapter(inFeatures, outFeatures, { rank: 3, alpha: 6 }, rng, weight);
      adapter.loraB.assign(adapter.loraB.values.map(() => 0.3 * rng.normal()));
      return adapter;
    };
    injectAdapters(model, { targetModules: "all-linear", createAdapter }, new Rng(2));
    expect(largestDifference((await wholeLogits(model, [3, 5, 8]))[2]!, base[2]!)).toBeGreaterThan(0.01);
    const decoder = new CachedDecoder(model, MACHINE);
    await expectSame(model, decoder, [9, 1, 1, 1]);
    await decoder.release();
  });
});

test("changed weights are seen by what is read from then on", async () => {
  const model = modelOf("llama");
  const decoder = new CachedDecoder(model, MACHINE);
  await decoder.read([1, 2, 3]);
  for (const weight of [model.headWeight, model.embedTokens.weight]) weight.assign(weight.values.map((x) => -1.5 * x));
  await expectSame(model, decoder, [3, 1, 1]);
  await decoder.release();
});

// Heads as wide and key heads as few as in Gemma's smallest, where ONNX Runtime adds up in another order for other
// numbers of threads.
test("bits do not depend on the number of threads", async () => {
  const heads = { num_attention_heads: 8, num_key_value_heads: 1, head_dim: 256, sliding_window: 200 };
  const model = modelOf("gemma3_text, with sliding windows and two kinds of positions", heads);
  const ids = randomIds(290);
  const all: Uint32Array[][] = [];
  for (const threads of [1, 2, 8]) {
    const decoder = new CachedDecoder(model, { device: "cpu", threads });
    const logits = [await decoder.read(ids.slice(0, 280))];
    for (const id of ids.slice(280)) logits.push(await decoder.read([id]));
    all.push(logits.map(({ buffer }) => new Uint32Array(buffer)));
    await decoder.release();
  }
  for (const bits of all.slice(1)) expect(bits).toEqual(all[0]);
});
