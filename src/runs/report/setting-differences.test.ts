import { expect, test } from "vitest";
import { differencesOf } from "./setting-differences.js";

const run = (name: string, settings: Readonly<Record<string, string>>) => ({
  name,
  settings: Object.entries(settings),
});

test("runs are compared by their settings but for the folder, without those that cannot be read", () => {
  const a = run("a", { out: "runs/a", rank: "8", lr: "1e-3" });
  const b = run("b", { out: "runs/b", rank: "16", lr: "1e-3", dropout: "0" });
  const rows = [
    ["rank", "8", "16"],
    ["dropout", "–", "0"],
  ];
  expect(differencesOf([a, b])).toEqual({ runs: ["a", "b"], rows });
  expect(differencesOf([a, run("unreadable", {}), b])).toEqual({ runs: ["a", "b"], rows });
  expect(differencesOf([a, run("unreadable", {})])).toBeNull();
  expect(differencesOf([a, { ...a, name: "c" }])).toEqual({ runs: ["a", "c"], rows: [] });
});
