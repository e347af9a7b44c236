import { expect, test } from "vitest";
import { selectModules } from "../adapters/target-modules.js";
import { IN_TRANSFORMERS } from "../models/architectures.js";
import type { HostTensor } from "../tensor/dtype.js";
import { loraScalings, type PeftAdapter } from "./peft.js";
import { asInModel, asInTransformers } from "./peft-names.js";
import { indicesOf } from "./peft-tensors.js";

const QKV = "gpt_neox.layers.0.attention.query_key_value";
const STORAGE = { nameOf: (name: string) => name, isTransposed: () => false, inTransformers: IN_TRANSFORMERS };
const matrix: HostTensor = { dtype: "float32", shape: [2, 2], data: new Float32Array(4) };
const pair = { loraA: matrix, loraB: matrix };

function adapterOn(head: string, settings: Partial<PeftAdapter> = {}): PeftAdapter {
  return {
    ...{ baseModel: null, base: null, rank: 2, alpha: 2, dropout: 0, useRslora: false },
    ...{ targetModules: [QKV, head], modulesToSave: new Map([[`${head}.weight`, matrix]]), ...settings },
    layers: new Map([QKV, head].map((module) => [module, pair])),
  };
}

test.each<[what: string, targets: readonly string[] | string]>([
  ["a list", ["query_key_value", "lm_head"]],
  ["a list of both names", ["lm_head", "embed_out", "query_key_value"]],
  ["an expression that names it", ".*(query_key_value|lm_head)"],
  ["an expression that does not name it", ".*(_value|_head)"],
  ["an expression that would match the other name alone", ".*(_value|_out)"],
  ["all linear layers", "all-linear"],
  ["an escape before the name", "(\\blm_head|.*value)"],
])("targets mean the same modules by the names of the model: %s", (_, targetModules) => {
  const excludeModules = typeof targetModules === "string" ? ".*_hea[d]" : [];
  const given = adapterOn("lm_head", { targetModules, excludeModules });
  const read = asInModel(given, STORAGE);
  expect([...read.layers.keys()]).toEqual([QKV, "embed_out"]);
  expect([...read.modulesToSave.keys()]).toEqual(["embed_out.weight"]);
  const chosen = (modules: readonly string[], rule: PeftAdapter): boolean[] =>
    modules.map((module) => selectModules([module], rule).length > 0);
  for (const rule of [{}, { excludeModules: null }]) {
    const [before, after] = [
      chosen([QKV, "lm_head"], { ...given, ...rule }),
      chosen([QKV, "embed_out"], { ...read, ...rule }),
    ];
    expect(after).toEqual(before);
    const again = asInTransformers({ ...read, ...rule }, IN_TRANSFORMERS);
    expect(chosen([QKV, "lm_head"], again)).toEqual(before);
  }
});

test.each<Partial<PeftAdapter>>([
  { rankPattern: { lm_head: 3 }, alphaPattern: { "^lm_head": 5 } },
  { rankPattern: { ".*_head": 3, ".*_out": 4 }, alphaPattern: { ".*_out": 5 } },
  { rankPattern: { embed_out: 4, lm_head: 3 }, alphaPattern: { value: 7 } },
  { rankPattern: { "lm_head.weight": 3, lm_head: 4 }, targetParameters: ["lm_head.weight"] },
])("ranks and alphas stay, case %#", (settings) => {
  const given = adapterOn("lm_head", settings);
  const read = asInModel(given, STORAGE);
  const again = asInTransformers(read, IN_TRANSFORMERS);
  const scalings = (adapter: PeftAdapter): object[] => [...loraScalings(adapter.layers.keys(), adapter).values()];
  expect(scalings(read)).toEqual(scalings(given));
  expect(scalings(again)).toEqual(scalings(given));
});

test.each([
  { lm_head: [4], embed_in: [7] },
  { head: [4], in: [7] },
])("trained tokens stay: %o", (tokenIndices) => {
  const tokens = new Map(["lm_head", "gpt_neox.embed_in"].map((table) => [table, matrix]));
  const read = asInModel({ ...adapterOn("lm_head"), tokens, tokenIndices }, STORAGE);
  expect([...read.tokens!.keys()]).toEqual(["embed_out", "gpt_neox.embed_in"]);
  expect([...read.tokens!.keys()].map((table) => indicesOf(read.tokenIndices!, table))).toEqual([[4], [7]]);
});

test("names of the model stay, and tensors by both names are refused", () => {
  const own = adapterOn("embed_out", { rankPattern: { embed_out: 3 } });
  expect(asInModel(own, STORAGE)).toBe(own);
  expect(asInTransformers(own, IN_TRANSFORMERS).rankPattern).toEqual({ lm_head: 3 });
  const both = { ...own, layers: new Map([...own.layers, ["lm_head", pair]]) };
  expect(() => asInModel(both, STORAGE)).toThrow("lm_head and embed_out are the same module");
});
