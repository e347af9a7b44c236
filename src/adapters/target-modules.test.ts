import { expect, test } from "vitest";
import { isAllLinear, selectModules } from "./target-modules.js";

test("all-linear is the keyword alone or as a list of it, as in PEFT", () => {
  const modules = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"];
  for (const targetModules of ["all-linear", ["all-linear"], ["All-Linear"]]) {
    expect(selectModules(modules, { targetModules })).toEqual(modules);
  }
  expect(isAllLinear(["q_proj"])).toBe(false);
  expect(isAllLinear([])).toBe(false);
});
