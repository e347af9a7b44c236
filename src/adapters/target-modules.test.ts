import { expect, test, vi } from "vitest";
import { withTimeLimit } from "#platform";
import { ConfigError } from "../base/errors.js";
import { isAllLinear, patternValues, selectModules } from "./target-modules.js";

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
