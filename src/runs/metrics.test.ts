import { expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { formatMetricsLine, type MetricsRecord, parseMetrics } from "./metrics.js";

const records: MetricsRecord[] = [
  { kind: "skip", step: 3, reason: "gradient norm is NaN", inARow: 1, skipped: 1 },
  { kind: "eval", step: 4, loss: 2, perplexity: 7.389, tokens: 100, sample: 'two\nlines and "quotes"' },
];
const text = records.map(formatMetricsLine).join("");

test("records survive the way to a file and back", () => {
  expect(parseMetrics(text)).toEqual(records);
  expect(text.split("\n")).toHaveLength(3);
});

test("what is not known of a quantization or a merge stays null", () => {
  const layer = { name: "model.layers.0.self_attn.q_proj", relativeError: 0.09, largestError: 0.01 };
  const numbers: MetricsRecord[] = [
    {
      kind: "quantize",
      step: 5,
      quantizer: "nf4 in blocks of 64",
      lossBefore: null,
      lossAfter: 5.3,
      relativeError: 0.09,
      bytes: 1024,
      layers: [layer],
    },
    {
      kind: "merge",
      step: 6,
      cycle: 1,
      policy: null,
      lossBefore: 5.25,
      lossAfter: 5.25,
      deltaNorm: 3,
      recovered: 1,
      codesChanged: null,
      probeLogitsChange: 1e-7,
      rank: 0,
      layers: [{ name: layer.name, deltaNorm: 3, recovered: 1, codesChanged: null, rank: null }],
    },
  ];
  expect(parseMetrics(numbers.map(formatMetricsLine).join(""))).toEqual(numbers);
});

test("numbers that JSON cannot hold come back", () => {
  const [, evaluation] = records;
  const lines = [
    { loss: 1000, perplexity: Number.POSITIVE_INFINITY },
    { loss: Number.NaN, perplexity: Number.NaN },
  ];
  const numbers = lines.map((line) => ({ ...evaluation, ...line }) as MetricsRecord);
  expect(parseMetrics(numbers.map(formatMetricsLine).join(""))).toEqual(numbers);
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
