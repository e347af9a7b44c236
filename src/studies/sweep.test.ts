import { expect, test } from "vitest";
import { resolveSettings } from "../config/resolve.js";
import { parseStudy } from "./study-config.js";
import { edgeRemark, parseSweeps, requireUnset, sweepStudy, variantsOf } from "./sweep.js";

test("several sweeps make a grid, with a name for each combination", () => {
  const sweeps = parseSweeps(["learning-rate=1e-4, 2e-4", "rank=4,8", "target-modules=q_proj,v_proj;all-linear"]);
  expect(sweeps.map(({ key }) => key)).toEqual(["lr", "rank", "targetModules"]);
  expect(variantsOf(sweeps)).toHaveLength(8);
  expect(variantsOf(sweeps)[0]).toEqual({
    name: "lr-1e-4_rank-4_targetModules-q_proj_v_proj",
    values: { lr: "1e-4", rank: "4", targetModules: "q_proj,v_proj" },
  });
});

test("a run's settings become a study, whose reference is the first of the values", () => {
  const sweeps = parseSweeps(["lr=1e-4,5e-4", "seed=3,4"]);
  const study = sweepStudy(sweeps, (values) => resolveSettings({ flags: { model: "tiny", rank: 2, ...values } }), "t");
  expect(study).toMatchObject({ seeds: [3, 4], reference: { low: "lr-1e-4", high: null } });
  expect(study.arms.map(({ name, settings: { lr, rank } }) => [name, lr, rank])).toEqual([
    ["lr-1e-4", 1e-4, 2],
    ["lr-5e-4", 5e-4, 2],
  ]);
});

test("arms of a study are swept each", () => {
  const text = "seeds: [0]\nsettings: {model: tiny}\narms: {a: {rank: 2}, b: {rank: 4}}\n";
  const { arms } = parseStudy(text, "s.yaml", "s", parseSweeps(["lr=1e-4,5e-4"]));
  expect(arms.map(({ name, settings: { lr, rank } }) => [name, lr, rank])).toEqual([
    ["a_lr-1e-4", 1e-4, 2],
    ["a_lr-5e-4", 5e-4, 2],
    ["b_lr-1e-4", 1e-4, 4],
    ["b_lr-5e-4", 5e-4, 4],
  ]);
  expect(parseStudy("settings: {model: tiny}", "s.yaml", "s", parseSweeps(["rank=2,4"])).arms).toHaveLength(2);
});

test("names that differ in signs alone, or are long, stay apart", () => {
  const names = variantsOf(parseSweeps(["model=a/b,a b"])).map(({ name }) => name);
  expect(new Set(names).size).toBe(2);
});

test("the best value at an end of those tried is not the last word", () => {
  const sweeps = parseSweeps(["lr=1e-4,2e-4,5e-4"]);
  expect(edgeRemark(sweeps, "lr-5e-4")).toBe("lr 5e-4 is the largest that was tried: try larger ones");
  expect(edgeRemark(sweeps, "lr-1e-4")).toContain("try smaller ones");
  expect(edgeRemark(sweeps, "lr-2e-4")).toBeNull();
});

test("a flag beside a sweep of the same setting is refused", () => {
  expect(() => requireUnset({ learningRate: "1e-3" }, parseSweeps(["lr=1,2"]))).toThrow("learningRate: is given");
  expect(() => requireUnset({ rank: "4" }, parseSweeps(["lr=1,2"]))).not.toThrow();
});

test.each(["lr=1e-4,0.0001", "rank=8,8.0", "seed=1,01", "target-modules=q_proj,k_proj;q_proj, k_proj"])(
  "%s names the same value twice",
  (text) => {
    expect(() => parseSweeps([text])).toThrow(/: must have two or more different values, separated by "[,;]", got /);
  },
);
