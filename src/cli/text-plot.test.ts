import { expect, test } from "vitest";
import { plotText } from "./text-plot.js";

const formatValue = (value: number) => value.toFixed(1);

test("a plot is as wide as it may be and names its ends", () => {
  const lines = plotText(
    Array.from({ length: 300 }, (_, i) => i / 100),
    { columns: 80, formatValue },
  );
  expect(Math.max(...lines.map((line) => [...line].length))).toBe(80);
  expect(lines[0]).toMatch(/^3\.0 │/);
  expect(lines.at(-3)).toMatch(/^0\.0 │/);
  expect(lines.at(-1)?.trim()).toMatch(/^1 +300$/);
});

test("a rising line fills the lower left and the upper right corner", () => {
  const lines = plotText(
    Array.from({ length: 1000 }, (_, i) => i),
    { columns: 40, formatValue: String },
  );
  const curve = lines.slice(0, 15).map((line) => line.split("│")[1]!);
  expect(curve[0]?.trimStart()).toHaveLength(curve[0]!.trim().length);
  expect(curve[0]?.startsWith("  ")).toBe(true);
  expect(curve[14]?.startsWith(" ")).toBe(false);
  expect(curve[14]!.length).toBeLessThan(6);
});

test("a drop of one step in ten thousand still shows", () => {
  const values = Array.from({ length: 10_000 }, (_, i) => (i === 5000 ? 0 : 1));
  const lines = plotText(values, { columns: 80, formatValue });
  for (const line of lines.slice(1, 15)) expect(line).toMatch(/[\u2801-\u28ff]/);
});

test("zero everywhere, and a single value, are drawn too", () => {
  expect(plotText([0, 0], { columns: 30, formatValue })).toHaveLength(17);
  expect(plotText([1], { columns: 30, formatValue })).toHaveLength(17);
});
