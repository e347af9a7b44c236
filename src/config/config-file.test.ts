import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { loadConfigFile } from "./config-file.js";

test("YAML and JSON are read alike", () => {
  const values = { rank: 8, lr: 1e-3, targetModules: ["q_proj", "v_proj"], rslora: true };
  expect(loadConfigFile(JSON.stringify(values), "a.json")).toEqual({ path: "a.json", values });
  const yaml = "rank: 8\nlr: 1e-3 # peak\ntargetModules: [q_proj, v_proj]\nrslora: true\n";
  expect(loadConfigFile(yaml, "a.yml").values).toEqual(values);
});

test("an empty file has no settings", () => {
  expect(loadConfigFile("# nothing yet\n", "a.yml").values).toEqual({});
});

test("a syntax error names file, line and column", () => {
  expect(() => loadConfigFile('{"rank": 8,\n "lr" 3}', "a.json")).toThrow(/^a\.json: .* line 2, column \d+/);
  expect(() => loadConfigFile("rank: 8\nrank: 9\n", "a.yml")).toThrow(/a\.yml: Map keys must be unique at line 2/);
});

test("several documents in one file are refused in words about settings", () => {
  expect(() => loadConfigFile("rank: 8\n---\nrank: 9\n", "a.yml")).toThrow(
    new ConfigError(
      "a.yml: must hold the settings of one run, but line 2 begins another document; make it a file of its own",
    ),
  );
});

test.each([
  ["- rank\n- 8\n", "got a list"],
  ["hello", 'got the string "hello"'],
])("a file that holds %j is refused", (text, message) => {
  expect(() => loadConfigFile(text, "a.yml")).toThrow(ConfigError);
  expect(() => loadConfigFile(text, "a.yml")).toThrow(message);
});

test("anchors, aliases and merge keys stand for what they name", () => {
  const text = "base: &base {rank: 8, lr: 1e-3}\narms:\n  a: {<<: *base, lr: 2e-3}\n  b: *base\n";
  const base = { rank: 8, lr: 1e-3 };
  expect(loadConfigFile(text, "a.yml").values).toEqual({ base, arms: { a: { rank: 8, lr: 2e-3 }, b: base } });
});

test("aliases that stand for themselves or for too much are refused in words about the file", () => {
  for (const text of ["a: &a {b: *a}", "a: &a [1, {c: *a}]", "a: &a {<<: *a}", "&a b: 1\nc: &c {d: {e: *c}}"]) {
    expect(() => loadConfigFile(text, "a.yml")).toThrow(
      /^a\.yml: \*[ac] stands inside of &[ac], which it would repeat/,
    );
  }
  const bomb = [
    "a0: &a0 [1, 1]",
    ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`),
  ];
  expect(() => loadConfigFile(bomb.join("\n"), "a.yml")).toThrow(
    "a.yml: cannot be read: its aliases (*name) stand for",
  );
  expect(() => loadConfigFile("a: *b", "a.yml")).toThrow(/^a\.yml: .*b/);
});
