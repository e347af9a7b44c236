import { afterAll, describe, expect, test } from "vitest";
import { injectAdapters, linearLayers } from "../src/adapters/inject.js";
import { LoRAAdapter } from "../src/adapters/lora-adapter.js";
import { grad } from "../src/autograd/grad.js";
import { LlamaForCausalLM } from "../src/models/llama.js";
import { llamaConfig } from "../src/models/llama-config.js";
import { Linear } from "../src/nn/linear.js";
import { Parameter, trainableParameters } from "../src/nn/module.js";
import { createQuantizedWeight, QuantizedLinear } from "../src/quant/quantized-linear.js";
import { createQuantizer, describeQuantizer, type Quantizer } from "../src/quant/quantizer.js";
import { clearEvaluationCache, evaluate } from "../src/runtime/evaluate.js";
import { Rng } from "../src/tensor/random.js";
import { tensor } from "../src/tensor/tensor.js";
import { expectClose } from "./ops/close.js";

afterAll(clearEvaluationCache);

// An intermediate size that no block size divides.
const SIZES = { vocabSize: 31, hiddenSize: 16, intermediateSize: 43, numLayers: 2, numHeads: 4, numKeyValueHeads: 2 };
const TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** A model with adapters that are not zero, on weights that were quantized, held packed or in float32. */
function build(quantizer: Quantizer, packed: boolean): LlamaForCausalLM {
  const model = new LlamaForCausalLM(llamaConfig(SIZES), new Rng(1));
  for (const { slot, linear } of linearLayers(model).values()) {
    const weight = createQuantizedWeight([linear.outFeatures, linear.inFeatures], quantizer);
    weight.assign((linear as Linear).weight.values);
    const plain = new Linear(new Parameter(weight.values(), weight.shape));
    slot.replace(packed ? new QuantizedLinear(weight) : plain);
  }
  const createAdapter = (inFeatures: number, outFeatures: number, rng: Rng) => {
    const adapter = new LoRAAdapter(inFeatures, outFeatures, { rank: 3, alpha: 6 }, rng);
    adapter.loraB.assign(adapter.loraB.values.map(() => 0.05 * rng.normal()));
    return adapter;
  };
  injectAdapters(model, { targetModules: TARGETS, createAdapter }, new Rng(2));
  return model;
}

describe.each(
  [
    createQuantizer("nf4"),
    createQuantizer("nf4", { doubleQuant: true }),
    createQuantizer("fp4", { blockSize: 16 }),
    createQuantizer("int8"),
  ].map((quantizer) => [describeQuantizer(quantizer), quantizer] as const),
)("LLaMA with adapters on %s", (_, quantizer) => {
  const ids = tensor(
    Int32Array.from({ length: 12 }, (_each, i) => (7 * i + 3) % 31),
    [2, 6],
  );
  const labels = tensor(
    Int32Array.from({ length: 12 }, (_each, i) => (7 * i + 10) % 31),
    [2, 6],
  );

  test.each([false, true])(
    "has the loss and gradients of the dequantized model, checkpointing %s",
    async (checkpointing) => {
      const outputs = (model: LlamaForCausalLM) => {
        const loss = model.loss(ids, labels, { checkpointing });
        return evaluate([loss, ...grad(loss, trainableParameters(model))]);
      };
      const [packed, plain] = [await outputs(build(quantizer, true)), await outputs(build(quantizer, false))];
      expect(packed).toHaveLength(plain.length);
      // Loss, embeddings, head, five norms and the two factors of fourteen adapters.
      expect(packed).toHaveLength(1 + 2 + 5 + 28);
      for (const [i, { data }] of packed.entries()) expectClose(`output ${i}`, data, plain[i]!.data, 1e-5);
    },
  );
});
