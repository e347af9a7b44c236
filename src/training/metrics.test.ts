import { expect, test } from "vitest";
import { CheckpointError } from "../tensor/errors.js";
import { formatMetricsLine, type MetricsRecord, parseMetrics } from "./metrics.js";

const records: MetricsRecord[] = [
  { kind: "skip", step: 3, reason: "gradient norm is NaN" },
  { kind: "eval", step: 4, loss: 2, perplexity: 7.389, tokens: 100, sample: 'two\nlines and "quotes"' },
];
const text = records.map(formatMetricsLine).join("");

test("records survive the way to a file and back", () => {
  expect(parseMetrics(text)).toEqual(records);
  expect(text.split("\n")).toHaveLength(3);
});

test("a last line that was cut short is left out wherever the cut falls", () => {
  const secondLine = text.indexOf("\n") + 1;
  for (let end = secondLine; end < text.length - 1; end++) {
    expect(parseMetrics(text.slice(0, end))).toEqual([records[0]]);
  }
});

test("every broken line before the last is named", () => {
  const broken = `{"kind":"skip"\n${text}[1, 2]\n`;
  expect(() => parseMetrics(broken, "runs/a/metrics.jsonl")).toThrow(CheckpointError);
  expect(() => parseMetrics(broken, "runs/a/metrics.jsonl")).toThrow(/runs\/a\/metrics\.jsonl.*line 1:.*line 4:/s);
});
