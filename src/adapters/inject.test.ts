import { afterAll, describe, expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import type { Linear } from "../nn/linear.js";
import { namedParameters, setTraining } from "../nn/module.js";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { injectAdapters, mergeAdapters, mergeableLayers, redrawDropout } from "./inject.js";
import { LoRAAdapter, type LoRAOptions } from "./lora-adapter.js";
import type { MergeableLinear } from "./mergeable-layer.js";

afterAll(clearEvaluationCache);

const SIZES = { vocabSize: 11, hiddenSize: 8, intermediateSize: 12, numLayers: 2, numHeads: 2 };

function build(tieWordEmbeddings = false): LlamaForCausalLM {
  return new LlamaForCausalLM(llamaConfig({ ...SIZES, tieWordEmbeddings }), new Rng(1));
}

function inject(model: LlamaForCausalLM, targetModules: readonly string[], options: LoRAOptions = { rank: 2 }) {
  const createAdapter = (inFeatures: number, outFeatures: number, rng: Rng) =>
    new LoRAAdapter(inFeatures, outFeatures, options, rng);
  return injectAdapters(model, { targetModules, createAdapter }, new Rng(2));
}

describe("injectAdapters", () => {
  test("takes short names in every layer, in the order of the model", () => {
    const model = build();
    const layers = inject(model, ["up_proj", "q_proj"]);
    expect([...layers.keys()]).toEqual([
      "model.layers.0.self_attn.q_proj",
      "model.layers.0.mlp.up_proj",
      "model.layers.1.self_attn.q_proj",
      "model.layers.1.mlp.up_proj",
    ]);
    expect(mergeableLayers(model)).toEqual(layers);
    expect(model.layers[1]!.mlp.upProj).toBe(layers.get("model.layers.1.mlp.up_proj"));
  });

  test.each([
    ["model.layers.0.mlp.up_proj", ["model.layers.0.mlp.up_proj"]],
    ["1.mlp.up_proj", ["model.layers.1.mlp.up_proj"]],
    ["mlp.up_proj", ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"]],
  ])("takes %s from a dot on", (target, names) => {
    expect([...inject(build(), [target]).keys()]).toEqual(names);
  });

  test("matches no part of a name that starts inside a word", () => {
    expect(() => inject(build(), ["proj"])).toThrow(ConfigError);
  });

  test("names every target that matches nothing, what exists, and the nearest", () => {
    const target = () => inject(build(), ["q_porj", "v_proj", "attn_qkv"]);
    expect(target).toThrow(ConfigError);
    expect(target).toThrow(/"q_porj" \(did you mean "q_proj"\?\), "attn_qkv" match no linear layer/);
    expect(target).toThrow(/linear layers are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj$/);
    expect(() => inject(build(), [])).toThrow(/name at least one; linear layers are q_proj/);
  });

  test("leaves the model as it was when a target matches nothing", () => {
    const model = build();
    expect(() => inject(model, ["v_proj", "nonsense"])).toThrow(ConfigError);
    expect(mergeableLayers(model).size).toBe(0);
    expect([...namedParameters(model).values()].every(({ trainable }) => trainable)).toBe(true);
  });

  test("says which rank a layer takes", () => {
    expect(() => inject(build(), ["up_proj"], { rank: 9 })).toThrow(/from 1 to 8 .* 8 inputs and 12 outputs, got 9/);
  });

  test("freezes the weights of the targets, and nothing else", () => {
    const model = build();
    inject(model, ["q_proj", "down_proj"]);
    const frozen = [...namedParameters(model)].filter(([, { trainable }]) => !trainable).map(([path]) => path);
    expect(frozen).toEqual([
      "layers.0.attention.qProj.weight",
      "layers.0.mlp.downProj.weight",
      "layers.1.attention.qProj.weight",
      "layers.1.mlp.downProj.weight",
    ]);
  });

  test("shares the weight of the layer that it replaces", () => {
    const model = build();
    const { weight } = model.layers[0]!.attention.qProj as Linear;
    const values = weight.values.slice();
    inject(model, ["q_proj"]);
    expect((model.layers[0]!.attention.qProj as MergeableLinear).weight).toBe(weight);
    expect(weight.values).toEqual(values);
  });

  test("leaves a tied head and its embeddings alone", () => {
    const model = build(true);
    inject(model, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);
    expect(mergeableLayers(model).size).toBe(14);
    expect(model.headWeight).toBe(model.embedTokens.weight);
    expect(model.headWeight.trainable).toBe(true);
  });

  test("draws each adapter from a stream of its own, whichever others there are", () => {
    const all = inject(build(), ["q_proj", "k_proj"]);
    const some = inject(build(), ["k_proj"]);
    const name = "model.layers.1.self_attn.k_proj";
    const valuesOf = (layers: typeof all, layer: string) => (layers.get(layer)!.adapter as LoRAAdapter).loraA.values;
    expect(valuesOf(some, name)).toEqual(valuesOf(all, name));
    expect(new Set([...all.keys()].map((layer) => valuesOf(all, layer)[0])).size).toBe(4);
  });

  test("puts adapters into the mode of their layers", () => {
    const model = build();
    setTraining(model, true);
    for (const layer of inject(model, ["q_proj"]).values()) {
      expect(layer.training).toBe(true);
      expect(layer.adapter.training).toBe(true);
    }
  });
});

describe("all adapters of a model", () => {
  test("mergeAdapters merges and resets each from its own stream", async () => {
    const model = build();
    const layers = [...inject(model, ["q_proj"]).values()] as MergeableLinear[];
    const weights = layers.map(({ weight }) => weight.values.slice());
    for (const { adapter } of layers) (adapter as LoRAAdapter).loraB.values.fill(0.5);
    await mergeAdapters(model, new Rng(3));
    const drawn = layers.map(({ adapter }) => (adapter as LoRAAdapter).loraA.values);
    layers.forEach(({ weight, adapter }, i) => {
      expect(weight.values).not.toEqual(weights[i]);
      expect((adapter as LoRAAdapter).loraB.values.every((value) => value === 0)).toBe(true);
    });
    expect(drawn[0]).not.toEqual(drawn[1]);
  });

  test("redrawDropout gives every layer another mask", () => {
    const seen: string[] = [];
    const model = build();
    for (const { adapter } of inject(model, ["q_proj", "v_proj"], { rank: 1, dropout: 0.5 }).values()) {
      adapter.redrawDropout = (rng) => void seen.push(rng.purpose);
    }
    redrawDropout(model, new Rng(3, "dropout"));
    expect(new Set(seen).size).toBe(4);
    expect(seen[0]).toBe("dropout/model.layers.0.self_attn.q_proj");
  });
});
