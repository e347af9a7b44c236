import { expect, test, vi } from "vitest";
import { withTimeLimit } from "#platform";
import { ConfigError } from "../base/errors.js";
import { isAllLinear, missingLayers, patternValues, selectModules } from "./target-modules.js";

vi.mock("#platform", async (importOriginal) => {
  const platform = await importOriginal<typeof import("#platform")>();
  return { ...platform, withTimeLimit: vi.fn(platform.withTimeLimit) };
});

test("all-linear is the keyword alone or as a list of it, as in PEFT", () => {
  const modules = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"];
  for (const targetModules of ["all-linear", ["all-linear"], ["All-Linear"]]) {
    expect(selectModules(modules, { targetModules })).toEqual(modules);
  }
  expect(isAllLinear(["q_proj"])).toBe(false);
  expect(isAllLinear([])).toBe(false);
});

test("layers to transform count for all-linear too, and those that no module is of are found", () => {
  const modules = ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj", "model.norm"];
  const rule = { targetModules: "all-linear", layersToTransform: [1] };
  expect(selectModules(modules, rule)).toEqual(["model.layers.1.mlp.up_proj"]);
  expect(missingLayers(modules, rule)).toEqual([]);
  expect(missingLayers(modules, { ...rule, layersToTransform: [0, 2, 99] })).toEqual([2, 99]);
});

const ENDLESS = "(.*.*.*.*.*.*.*.*.*.*.*.*.*)*x";

test("a pattern that backtracks without end is refused by name", () => {
  const call = (): string[] => selectModules(["model.layers.0.self_attn.q_proj"], { targetModules: ENDLESS });
  expect(call).toThrow(
    new ConfigError(
      `matching the names of modules with "${ENDLESS}": it did not finish within 2 s; give names of modules instead`,
    ),
  );
});

test("what is stopped on a busy machine begins again with all names, also those of an iterator", () => {
  const twice = <T>(_: number, call: () => T): T => [call(), call()][1]!;
  const names = (): Iterable<string> => ["a.q_proj", "a.k_proj"].values();
  vi.mocked(withTimeLimit).mockImplementationOnce(twice);
  expect(selectModules(names(), { targetModules: ["q_proj"] })).toEqual(["a.q_proj"]);
  vi.mocked(withTimeLimit).mockImplementationOnce(twice);
  expect([...patternValues(names(), { q_proj: 4 }, 2)]).toEqual([
    ["a.q_proj", 4],
    ["a.k_proj", 2],
  ]);
});
