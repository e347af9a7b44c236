import { expect, test } from "vitest";
import "../runtime/evaluate.js";
import { adaptersOf, injectAdapters, linearLayers } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { Linear } from "../nn/linear.js";
import { createQuantizer } from "../quant/quantizer.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { diskParameters } from "./model-source.js";
import { isNarrow, quantizeLayers, widen, widenedBytes } from "./quantizing.js";

const SIZES = { vocabSize: 40, hiddenSize: 64, intermediateSize: 64, numLayers: 1, numHeads: 2, maxSequenceLength: 8 };
const IDS = tensor(Int32Array.of(1, 5, 30, 2), [1, 4]);

const modelOf = (): LlamaForCausalLM => new LlamaForCausalLM(llamaConfig(SIZES), new Rng(0));

async function logitsOf(model: LlamaForCausalLM): Promise<Float32Array> {
  return (await model.logits(IDS).data()) as Float32Array;
}

test.each(["nf4", "fp4", "int8"] as const)("%s layers become float32 ones of the same values", async (format) => {
  const model = modelOf();
  expect(isNarrow(model)).toBe(false);
  const bytes = widenedBytes(model);
  const weights = new Map(
    [...linearLayers(model)].map(([name, { linear }]) => [name, (linear as Linear).weight.values]),
  );
  const quantizer = createQuantizer(format, { blockSize: 64, doubleQuant: false });
  await quantizeLayers(model, quantizer, async (name) => weights.get(name.replace(/\.weight$/, ""))!);
  const q = "model.layers.0.self_attn.q_proj";
  const createAdapter = (inFeatures: number, outFeatures: number, rng: Rng): LoRAAdapter =>
    new LoRAAdapter(inFeatures, outFeatures, { rank: 2 }, rng);
  injectAdapters(model, { targetModules: ["q_proj"], createAdapter }, new Rng(1));
  adaptersOf(model).get(q)!.parts[1]!.parameter.values.fill(0.1);
  const before = await logitsOf(model);
  expect(isNarrow(model)).toBe(true);
  expect(widenedBytes(model)).toBe(bytes + 4 * 2 * (64 + 64));

  widen(model);
  expect(isNarrow(model)).toBe(false);
  for (const { linear } of linearLayers(model).values()) expect(linear).toBeInstanceOf(Linear);
  expect(adaptersOf(model).has(q)).toBe(true);
  const after = await logitsOf(model);
  for (const [i, logit] of after.entries()) expect(logit).toBeCloseTo(before[i]!, 4);
});

test("16-bit weights become float32 ones of the same values", async () => {
  const model = modelOf();
  const table = diskParameters(model).get("model.embed_tokens.weight")!;
  table.hold({
    format: "bfloat16",
    bits: Uint16Array.from({ length: table.size }, (_, i) => 0x3f80 + (i % 64)),
    scale: 1,
  });
  const values = table.read();
  expect(isNarrow(model)).toBe(true);
  widen(model);
  expect(isNarrow(model)).toBe(false);
  expect(table.values).toEqual(values);
});
