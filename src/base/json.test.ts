import { expect, test } from "vitest";
import { HighrankError } from "./errors.js";
import { parseJson, shortened, shownValue } from "./json.js";

test("JSON is parsed as ever, brackets in texts aside", () => {
  const value = { a: [1, null, { "]": '\\"[[' }], "é\u0000": "{{{" };
  expect(parseJson(JSON.stringify(value))).toEqual(value);
  expect(parseJson(JSON.stringify("[".repeat(100)))).toBe("[".repeat(100));
  expect(() => parseJson('{"a": }')).toThrow(SyntaxError);
  expect(() => parseJson('"\\')).toThrow(SyntaxError);
});

test("64 levels are parsed, any more are refused", () => {
  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  expect(parseJson(nested(64))).toBeInstanceOf(Array);
  for (const levels of [65, 1_000_000]) expect(() => parseJson(nested(levels))).toThrow("nested deeper than 64 levels");
  expect(parseJson(`[${nested(2)},${nested(2)},${"[],".repeat(200)}[]]`)).toHaveLength(203);
});

test("values are shown by their beginning", () => {
  expect([shownValue([1, "a"]), shownValue(undefined)]).toEqual(['[1,"a"]', "missing"]);
  expect(shownValue("x".repeat(1000))).toBe(`"${"x".repeat(99)}… (1002 characters)`);
  expect(shortened("abc", 2)).toBe("ab… (3 characters)");
});

test("numbers that are not finite are shown by their names", () => {
  const values = [Number.NEGATIVE_INFINITY, Number.NaN, [Number.POSITIVE_INFINITY], 1e21, 7n];
  expect(values.map(shownValue)).toEqual(["-Infinity", "NaN", '["Infinity"]', "1e+21", "7"]);
});

test("the message of an error is limited in length", () => {
  expect(new HighrankError("x".repeat(1e6)).message).toHaveLength(8001);
});
