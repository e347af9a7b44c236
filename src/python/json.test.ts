import { expect, test } from "vitest";
import { PythonFloat } from "./float.js";
import { fromData } from "./from-data.js";
import { parsePythonJson, plainNumbers, withPlainKeys, writePythonJson } from "./json.js";
import { toJson } from "./json-dumps.js";

test.each<[text: string, value: unknown]>([
  ["9007199254740993", 9007199254740993n],
  ["-9007199254740993", -9007199254740993n],
  ["123456789012345678901234567890", 123456789012345678901234567890n],
  ["9007199254740991", 9007199254740991],
  ["20", 20],
  ["20.0", new PythonFloat(20)],
  ["-0.0", new PythonFloat(-0)],
  ["0.000", new PythonFloat(0)],
  ["1e22", new PythonFloat(1e22)],
  ["12E-1", 1.2],
  ["1e-7", 1e-7],
  ["0.5", 0.5],
  ['"20.0, 9007199254740993 \\" 1e5"', '20.0, 9007199254740993 " 1e5'],
  ['{"a": [1.0, {"b": 2.0}], "c": "3.0"}', { a: [new PythonFloat(1), { b: new PythonFloat(2) }], c: "3.0" }],
  ['{"1.0": 1.0, "1.0": 2}', { "1.0": 2 }],
  ['{"__proto__": 1.0}', JSON.parse('{"__proto__": 0}', () => new PythonFloat(1))],
])("%s has the numbers of Python", (text, value) => {
  const parsed = parsePythonJson(text);
  if (text.startsWith('{"__proto__')) expect(Object.keys(parsed as object)).toEqual(["__proto__"]);
  else expect(parsed).toEqual(value);
});

test.each(["[1.0, 01]", "1.", "[1.0", "--1", "1e", "+1.0", "{1.0: 2}", "NaN", "9".repeat(4301)])(
  "%s is not JSON",
  (text) => {
    expect(() => parsePythonJson(text)).toThrow(SyntaxError);
  },
);

test.each(['{"a":[9007199254740993,20.0,-0.0,1e+22,3,0.5,{"b":"20.0"}]}', '["\\ud83d\\ude42",null,true]'])(
  "%s is written as it was read",
  (text) => {
    expect(parsePythonJson(writePythonJson(parsePythonJson(text)))).toEqual(parsePythonJson(text));
    if (text.startsWith("{")) expect(writePythonJson(parsePythonJson(text))).toBe(text);
  },
);

test("plain numbers are those of JSON.parse", () => {
  const text = '{"a": [9007199254740993, 20.0, 1e22, {"b": 3}], "c": null, "d": "x"}';
  expect(plainNumbers(parsePythonJson(text))).toEqual(JSON.parse(text));
});

test("keys that are numbers keep their place, in a dict and through both directions", () => {
  const text =
    '{"sheet": "x", "2": "b", "1": {"q": 1, "200": [{"07": "2: x", "7" : 2.0}]}, "4294967296": "\\"3\\": y"}';
  const value = parsePythonJson(text);
  const options = { ensureAscii: false, indent: null, separators: null, sortKeys: false };
  expect(toJson(fromData(value), options)).toBe(
    '{"sheet": "x", "2": "b", "1": {"q": 1, "200": [{"07": "2: x", "7": 2.0}]}, "4294967296": "\\"3\\": y"}',
  );
  expect(parsePythonJson(writePythonJson(value))).toEqual(value);
  expect(writePythonJson(value)).toContain('{"sheet":"x","2":"b","1":{"q":1,"200":[{"07":"2: x","7":2.0}]}');
  expect(withPlainKeys(parsePythonJson('{"b": 1, "1": 2}') as Record<string, unknown>)).toEqual({ b: 1, "1": 2 });
  expect(plainNumbers(parsePythonJson('{"b": {"1": 2.0}}'))).toEqual({ b: { "1": 2 } });
});
