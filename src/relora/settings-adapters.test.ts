import { expect, test } from "vitest";
import { adapterParameters, adaptersOf } from "../adapters/inject.js";
import type { LoRAAdapter } from "../adapters/lora-adapter.js";
import { ConfigError } from "../base/errors.js";
import { diskParameters } from "../loading/model-source.js";
import { modelParts } from "../models/causal-lm.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { countElements } from "../nn/module.js";
import { Rng } from "../tensor/random.js";
import { type AdapterSettings, addAdapters, requireExclusions } from "./settings-adapters.js";

const SETTINGS = {
  rank: 4,
  alpha: 4,
  rslora: false,
  dropout: 0,
  adapterInit: "xavier",
  excludeModules: [],
  layersToTransform: [],
  rankPattern: [],
  alphaPattern: [],
  adapterKind: "lora",
  bias: "none",
  targetModules: ["q_proj", "down_proj"],
  trainModules: ["norms", "head"],
} as const;

function tinyModel(): LlamaForCausalLM {
  const sizes = { vocabSize: 10, hiddenSize: 8, intermediateSize: 12, numLayers: 2, numHeads: 2 };
  return new LlamaForCausalLM(llamaConfig(sizes), new Rng(0));
}

const trainable = (model: LlamaForCausalLM) => [...diskParameters(model)].filter(([, each]) => each.trainable);

test("what is trained are the adapters and the named parts", () => {
  const model = tinyModel();
  // Two layers of rank 4 on 8 → 8 and 12 → 8, norms of two layers and the last, the head.
  const expected = 2 * 4 * (8 + 8 + 12 + 8) + 5 * 8 + 10 * 8;
  addAdapters(model, SETTINGS, new Rng(0));
  expect(countElements(trainable(model).map(([, parameter]) => parameter))).toBe(expected);
});

test("besides adapters only the named parts are trained", () => {
  const model = tinyModel();
  addAdapters(model, SETTINGS, new Rng(0));
  expect(adapterParameters(model).size).toBe(8);
  const parts = modelParts(model);
  const trained = new Set(trainable(model).map(([, parameter]) => parts.get(parameter)));
  expect([...trained].sort()).toEqual(["head", "linear", "norms"]);
  for (const [name, parameter] of trainable(model)) {
    if (parts.get(parameter) === "linear") expect(name).toContain(".adapter.");
  }
});

test("a rank beyond a layer and targets that match nothing are refused by name, and the model stays as it was", () => {
  const model = tinyModel();
  const before = [...diskParameters(model)];
  const add = (change: object) => () => addAdapters(model, { ...SETTINGS, ...change }, new Rng(0));
  expect(add({ rank: 9 })).toThrow(/9 exceeds 4 .*\n.*layers\.0\.self_attn\.q_proj \(8 × 8\) takes at most 8/);
  expect(add({ targetModules: ["k_pro"] })).toThrow(/"k_pro" \(did you mean "k_proj"\?\)/);
  expect(add({ rank: 9 })).toThrow(ConfigError);
  expect([...diskParameters(model)]).toEqual(before);
  expect(trainable(model)).toHaveLength(before.length);
});

test("all-linear is every linear layer of the decoder; exclusions, layers and patterns narrow it", () => {
  const adapted = (changes: Partial<AdapterSettings>): Map<string, LoRAAdapter> => {
    const model = tinyModel();
    addAdapters(model, { ...SETTINGS, targetModules: ["all-linear"], ...changes }, new Rng(1));
    return adaptersOf(model) as Map<string, LoRAAdapter>;
  };
  const all = [...adapted({}).keys()];
  const kinds = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
  expect([...new Set(all.map((name) => name.split(".").at(-1)))]).toEqual(kinds);
  expect([...adapted({ excludeModules: ["q_proj", "mlp.up_proj"] }).keys()]).toEqual(
    all.filter((name) => !/q_proj|up_proj/.test(name)),
  );
  const pattern = { targetModules: [".*\\.(q|v)_proj", "down_proj"] };
  expect([...adapted(pattern).keys()]).toEqual(all.filter((name) => /[qv]_proj|down_proj/.test(name)));
  const first = adapted({ targetModules: ["q_proj", "up_proj"], layersToTransform: ["0"] });
  expect([...first.keys()]).toEqual(["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"]);
  const ranks = adapted({ rank: 4, alpha: 4, rankPattern: ["q_proj=2", "mlp\\..*=3"], alphaPattern: ["up_proj=12"] });
  expect(ranks.get("model.layers.0.self_attn.q_proj")).toMatchObject({ rank: 2, scaling: 2 });
  expect(ranks.get("model.layers.0.self_attn.k_proj")).toMatchObject({ rank: 4, scaling: 1 });
  expect(ranks.get("model.layers.0.mlp.up_proj")).toMatchObject({ rank: 3, scaling: 4 });
});

test.each([
  [{ targetModules: ["(?i)q_proj"] }, "has (?i, which is not read"],
  [{ targetModules: ["q_proj", "("] }, "targetModules: the regular expression ( is no regular expression"],
  [{ excludeModules: ["(v"] }, "excludeModules: the regular expression (v is no regular expression"],
  [{ targetModules: [".*none"] }, 'target modules: ".*none" matches no linear layer'],
  [{ excludeModules: [".*_proj"], targetModules: ["all-linear"] }, "leave no layer"],
  [{ rankPattern: ["z_proj=2"] }, "rankPattern: z_proj matches none"],
  [{ rankPattern: ["q_proj=100"] }, "rank: 100 exceeds"],
  [{ alphaPattern: ["(=2"] }, "alphaPattern: the regular expression ( is no regular expression"],
] as const)("%j is refused", (changes, says) => {
  expect(() => addAdapters(tinyModel(), { ...SETTINGS, ...changes }, new Rng(1))).toThrow(says);
});

test("an exclusion that leaves out no layer is refused with the nearest that exists", () => {
  const model = tinyModel();
  const leaveOut =
    (...excludeModules: string[]) =>
    () =>
      requireExclusions(model, { excludeModules });
  for (const entry of ["k_proj", "0.self_attn.k_proj", "model.layers.0.mlp.up_proj", ".*self_attn.*"])
    leaveOut(entry)();
  expect(leaveOut("k_proj", "k_prj")).toThrow(
    /^excludeModules: "k_prj" \(did you mean "k_proj"\?\) matches no linear layer of the model; linear layers are q_proj/,
  );
  for (const entry of ["nothere", "norm", "layers.9.*", "all-linear"]) expect(leaveOut(entry)).toThrow(ConfigError);
});
