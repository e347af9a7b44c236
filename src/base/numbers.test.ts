import { expect, test } from "vitest";
import {
  formatBytes,
  formatChange,
  formatCount,
  formatDuration,
  formatLearningRate,
  formatNumber,
  formatRanks,
  formatShare,
  largest,
  smallest,
} from "./numbers.js";

test.each([
  [formatCount, 0, "0"],
  [formatCount, 999, "999"],
  [formatCount, 1000, "1.00K"],
  [formatCount, 12_345, "12.3K"],
  [formatCount, 999_960, "1.00M"],
  [formatCount, 1_339_492_352, "1.34B"],
  [formatBytes, 512, "512 B"],
  [formatBytes, 1536, "1.50 KiB"],
  [formatBytes, 300 * 2 ** 20, "300 MiB"],
  [formatDuration, 59.4, "59s"],
  [formatDuration, 59.6, "1m 00s"],
  [formatDuration, 185, "3m 05s"],
  [formatDuration, 7620, "2h 07m"],
  [formatDuration, 7199, "2h 00m"],
  [formatLearningRate, 0, "0"],
  [formatLearningRate, 0.00095, "9.50e-4"],
  [formatShare, 0.2713, "27.1%"],
  [formatShare, 1, "100%"],
  [formatShare, 0.99999, ">99.9%"],
  [formatNumber, 0.83123, "0.8312"],
  [formatNumber, 12.4, "12.40"],
  [formatNumber, 123_456.7, "123457"],
  [formatNumber, 1.2e-7, "1.200e-7"],
  [formatNumber, Number.NaN, "NaN"],
  [formatChange, 0.01474, "+0.0147"],
  [formatChange, 0, "+0.0000"],
  [formatChange, -4.25, "-4.2500"],
])("%o of %s is %s", (format, value, text) => {
  expect(format(value)).toBe(text);
});

test.each([
  [[40, 50], "90 (45.0 a layer)"],
  [[40, null, 51, null], "91 in 2 layers (45.5 a layer)"],
  [[null, 7], "7 in 1 layer (7.0 a layer)"],
  [[0, 0], "0 (0.0 a layer)"],
  [[null, null], null],
  [[], null],
])("ranks %j are %s", (ranks, text) => {
  expect(formatRanks(ranks)).toBe(text);
});

test("the largest and the smallest of more values than a call takes arguments", () => {
  const values = Array.from({ length: 200_000 }, (_, i) => i % 1000);
  expect([largest(values), smallest(values)]).toEqual([999, 0]);
  expect([largest(values, 1000), smallest(values, -1)]).toEqual([1000, -1]);
  expect([largest([]), smallest([])]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
  expect([largest([1, Number.NaN]), smallest([Number.NaN, 1])]).toEqual([Number.NaN, Number.NaN]);
});
