import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { translatePythonPattern } from "./python-pattern.js";

const PATTERNS = [
  ".*q_proj",
  ".*\\.(q|v)_proj",
  "model\\.layers\\.(?:[02468]|1[0-9])\\.self_attn\\..+",
  "(?P<stack>model)\\.layers\\.\\d+\\.mlp\\.(?!gate).*",
  "(?!lm_head).*\\.(?:up|down)_proj",
  "model.layers.{,2}.mlp.\\w+_proj",
  ".*\\.[]k]_proj",
  ".*[^]q]_proj",
  ".*\\bq_proj\\b",
  "\\Amodel\\..*v_proj\\Z",
  ".*(?<=self_attn\\.)o_proj$",
  "(model\\.)?layers\\.1\\.mlp\\.up_proj|.*\\.layers\\.{1}0\\.mlp\\.up_proj",
  ".*\\-.*|.*q_pro[a-j]",
  "x{}|.*{|.*\\.q_proj",
  "[\\w.]+?k_proj",
];
const MODULES = [0, 1, 12].flatMap((layer) =>
  [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
  ].map((name) => `model.layers.${layer}.${name}`),
);

function python(): string | null {
  try {
    execFileSync("python3", ["--version"], { stdio: "pipe" });
    return "python3";
  } catch {
    return null;
  }
}
const interpreter = python();

test.skipIf(interpreter === null)("translated patterns match what Python's re.fullmatch matches", () => {
  const program =
    "import json,re,sys\npatterns,modules=json.load(sys.stdin)\n" +
    "print(json.dumps([[bool(re.fullmatch(p,m)) for m in modules] for p in patterns]))";
  const input = JSON.stringify([PATTERNS, MODULES]);
  const expected: boolean[][] = JSON.parse(
    execFileSync(interpreter!, ["-W", "ignore", "-c", program], { input }).toString(),
  );
  const got = PATTERNS.map((pattern) => {
    const translated = translatePythonPattern(pattern);
    if ("fault" in translated) throw new Error(`${pattern} ${translated.fault}`);
    const whole = new RegExp(`^(?:${translated.source})$`, "u");
    return MODULES.map((module) => whole.test(module));
  });
  expect(got).toEqual(expected);
  // Each says something: it takes some and leaves some.
  for (const row of expected) expect([row.includes(true), row.includes(false)]).toEqual([true, true]);
});

test.each<readonly [string, RegExp]>([
  ["(?i)Q_PROJ", /has \(\?i, which is not read/],
  ["(a)\\1", /has \\1, which is not read/],
  ["(?P=name)", /has \(\?P, which is not read/],
  ["(?>a)", /has \(\?>, which is not read/],
  ["a*+b", /possessive repeat \*\+/],
  ["a{2}+", /possessive repeat/],
  ["[ab", /has a \[ without its \]/],
  ["(ab", /is no regular expression/],
  ["a**", /is no regular expression/],
  ["a\\", /ends in a backslash/],
  ["\\Q", /has \\Q, which is not read/],
])("%j is refused", (pattern, fault) => {
  const translated = translatePythonPattern(pattern);
  expect("fault" in translated && translated.fault).toMatch(fault);
});

test("a pattern of more than 10000 characters is refused", () => {
  expect(translatePythonPattern("a".repeat(10_001))).toEqual({
    fault: expect.stringContaining("has 10001 characters"),
  });
});
