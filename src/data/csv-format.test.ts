import { expect, test } from "vitest";
import { readTable } from "./csv-format.js";

const read = (text: string, separator = ","): { line: number; record: object }[] =>
  readTable(text, "a.csv", separator, (record, line) => ({ line, record }));

test.each([
  ["LF and CRLF", "a,b\n1,2\r\n3,4", ["2 1|2", "3 3|4"]],
  ["quoted separators, line breaks and quotes", 'a,b\n"1,5","x\r\ny ""z"""\n3,4\n', ['2 1,5|x\r\ny "z"', "4 3|4"]],
  ["empty values and lines without a character", "a,b\n\n,\n\n1,\n", ["3 |", "5 1|"]],
  ["spaces and quotes inside a value", 'a,b\n x , 5" \n', ['2  x | 5" ']],
  ["numbers as they are written", "a,b\n0.10,9007199254740993\n1e3,007\n", ["2 0.10|9007199254740993", "3 1e3|007"]],
  ["a last line without an end", "a,b\n1,", ["2 1|"]],
])("%s", (_, text, rows) => {
  expect(read(text).map(({ line, record }) => `${line} ${Object.values(record).join("|")}`)).toEqual(rows);
});

test("tabs separate the values of .tsv, whose commas are text", () => {
  expect(read('a\tb\n1,5\t"2\t3"\n', "\t")).toEqual([{ line: 2, record: { a: "1,5", b: "2\t3" } }]);
});

test("a column without a name has that of pandas, and names lose the spaces around them", () => {
  expect(read(",a , b\n0,x,y\n")[0]!.record).toEqual({ "Unnamed: 0": "0", a: "x", b: "y" });
});

test.each([
  ["a,b\n1,2\n3\n4,5,6\n", /line 3: must have 2 values, as the first line, got 1\n.*line 4: .* got 3; put values/],
  ['a,b\n1,"2\n3,4\n', /line 2: a quoted value begins here and never ends/],
  ['a,b\n1,"2"3\n', /line 2: has "3" after the quote that ends a value; double the quotes/],
  ["a,a\n1,2\n", /line 1: two columns have the name "a"/],
  ["a;b\n1;2\n", /line 1: .*with commas between them, but has semicolons; write the file with commas/],
  ["a\tb\n1\t2\n", /line 1: .*but has tabs; write the file with commas, or name it \.tsv/],
])("%j is refused", (text, message) => {
  expect(() => read(text)).toThrow(message);
});
