import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { PythonFloat } from "../python/float.js";
import { Template } from "./template.js";

type Result = string | null;

// Made by tests/peers/python/jinja_engine.py with Jinja2, as transformers sets it up. A result of null is a refusal.
const golden = JSON.parse(readFileSync(new URL("../../tests/golden/jinja.json", import.meta.url), "utf8")) as {
  values: string[];
  unary: [template: string, results: Result[]][];
  pairValues: string[];
  pairs: [template: string, results: Result[][]][];
  templates: [template: string, result: Result][];
};

/** What Python prints and this engine refuses by name: bytes, complex numbers, and dict views as sets. */
const REFUSED_HERE = /encode\(\)|\*\* b \}\}$|\(-8\) \*\* 0\.5|\.items\(\) %\}\{\{ v < v/;

// Thousands of refusals are asked for, and their stacks would take most of the time.
Error.stackTraceLimit = 0;

function rendered(template: string): Result {
  try {
    return new Template(template).render({});
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}

interface Compared {
  readonly template: string;
  readonly got: Result;
  readonly right: Result;
}

/** The templates whose text is another, or that only one of the two refuses. */
function differences(cases: readonly (readonly [template: string, right: Result])[]): Compared[] {
  return cases
    .map(([template, right]) => ({ template, right, got: rendered(template) }))
    .filter(({ template, right, got }) => got !== right && !(got === null && REFUSED_HERE.test(template)));
}

describe("the engine gives what Jinja2 gives", () => {
  test("for each filter, test, method and operator on each kind of value", () => {
    const cases = golden.unary.flatMap(([template, results]) =>
      results.map((right, index) => [`{% set v = ${golden.values[index]!} %}${template}`, right] as const),
    );
    expect(cases.length).toBeGreaterThan(19_000);
    expect(differences(cases)).toEqual([]);
  });

  test("for each operator between each pair of kinds", () => {
    const cases = golden.pairs.flatMap(([template, rows]) =>
      rows.flatMap((row, left) =>
        row.map((right, index) => {
          const [a, b] = [golden.pairValues[left]!, golden.pairValues[index]!];
          return [`{% set a = ${a} %}{% set b = ${b} %}${template}`, right] as const;
        }),
      ),
    );
    expect(cases.length).toBeGreaterThan(7_000);
    // A power with a fractional exponent may differ in its last digit: JavaScript's own is not exact.
    const isClose = ({ got, right }: Compared): boolean => Math.abs(Number(got) / Number(right) - 1) < 1e-14;
    expect(differences(cases).filter((one) => !isClose(one))).toEqual([]);
  });

  test("for statements, scopes, white space and errors", () => {
    expect(golden.templates.length).toBeGreaterThan(200);
    expect(differences(golden.templates)).toEqual([]);
  });
});

test("data keeps ints and floats apart, at any size", () => {
  const data = {
    a: 20,
    b: new PythonFloat(20),
    c: new PythonFloat(-0),
    d: 1e-7,
    e: 2n ** 70n,
    f: 1e22,
    g: new PythonFloat(1e22),
  };
  expect(new Template("{{ d }} {{ d|tojson }}").render({ d: data })).toBe(
    "{'a': 20, 'b': 20.0, 'c': -0.0, 'd': 1e-07, 'e': 1180591620717411303424, 'f': 10000000000000000000000, " +
      "'g': 1e+22} " +
      '{"a": 20, "b": 20.0, "c": -0.0, "d": 1e-07, "e": 1180591620717411303424, "f": 10000000000000000000000, ' +
      '"g": 1e+22}',
  );
  expect(new Template("{{ e + 1 }} {{ e // 3 }} {{ a / 3 }}").render({ e: 2n ** 70n, a: 20 })).toBe(
    "1180591620717411303425 393530540239137101141 6.666666666666667",
  );
});

test("data comes as objects or maps, a key without value is none, and the data itself stays as it was", () => {
  const data = { list: [1, undefined, null], none: undefined, map: new Map([["k", true]]) };
  expect(new Template("{{ v }}{{ w is defined }}").render({ v: data, w: undefined })).toBe(
    "{'list': [1, None, None], 'map': {'k': True}}False",
  );
  expect(() => new Template("{{ v }}").render({ v: () => 1 })).toThrow(/data alone/);
});

test("the form of a sigma, and entities of HTML, are Python's", () => {
  const render = (source: string): string => new Template(source).render({});
  expect(render("{{ \"ΑΣ'Α ΒΣ\".title() }} {{ 'ΑΣ'.swapcase() }} {{ 'ὈΔΥΣΣΕΎΣ'.capitalize() }}")).toBe(
    "Ασ'Α Βς ας Ὀδυσσεύς",
  );
  expect(render("{{ '&lt;&#233;&#x1F600;&amp;'|striptags }}")).toBe("<é😀&");
  expect(() => render("{{ '&constructor;'|striptags }}")).toThrow(/no entity of HTML that is known here/);
});

test("nothing of JavaScript can be reached", () => {
  const names = ["constructor", "__proto__", "prototype", "toString", "hasOwnProperty", "length", "then", "caller"];
  for (const value of ["{}", "[]", "'a'", "1", "1.5", "none", "range(2)", "namespace()", "dict", "cycler(1)"]) {
    for (const name of names) {
      expect([value, name, new Template(`{{ (${value}).${name} is defined }}`).render({})]).toEqual([
        value,
        name,
        "False",
      ]);
    }
  }
  const own = JSON.parse('{"__proto__": "p", "constructor": "c"}');
  expect(new Template("{{ v.__proto__ }}{{ v['constructor'] }}{{ v }}").render({ v: own })).toBe(
    "pc{'__proto__': 'p', 'constructor': 'c'}",
  );
});

test.each([
  ["{{ raise_exception('no tools here') }}", /^no tools here$/],
  ["a\n\n{{ x.y }}", /^line 3: 'x' is undefined$/],
  ["a\n{% if true %}\n{{ 'a' + 1 }}{% endif %}", /^line 3: TypeError: .*'str' and 'int'$/],
  ["\n{% for x in %}{% endfor %}", /^line 2: Expected an expression, got 'end of statement block'$/],
  ["{% if 1 %}\n\n", /^line 2: Unexpected end of template\. Jinja was looking for .*'elif' or 'else' or 'endif'/],
  ["{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /^line 1: the template goes too deep$/],
  ["{{ 'a' * 2 ** 40 }}", /too big a value/],
  ["{{ 9 ** (10 ** 9) }}", /MemoryError/],
  ["{{ [0] * 2 ** 40 }}", /MemoryError/],
  ["{{ [1]|random ~ lipsum() }}", /other text in every run/],
  ["{{ [1]|map('upper') }}", /put \|list behind it/],
  ["{{ strftime_now('%Y') }}", /strftime_now .*day; write the date itself/],
  ["{% autoescape true %}{% endautoescape %}", /autoescape is for HTML/],
])("%s is an error that tells the line and what is wrong", (source, message) => {
  const render = (): string => new Template(source).render({});
  expect(render).toThrow(DataError);
  expect(render).toThrow(message);
});

test("a template whose brackets go too deep is an error too", () => {
  const deep = `{{ ${"[".repeat(100_000)}${"]".repeat(100_000)} }}`;
  expect(() => new Template(deep)).toThrow(/the template goes too deep/);
});

test("strftime_now tells the moment that is given, and is undefined without one", () => {
  const source = "{{ strftime_now('%d %b %Y, %-d %B %y %H:%M:%S %j %A') if strftime_now is defined else 'no date' }}";
  const now = new Date(Date.UTC(2026, 2, 5, 14, 7, 9));
  expect(new Template(source, { now }).render({})).toBe("05 Mar 2026, 5 March 26 14:07:09 064 Thursday");
  expect(new Template(source).render({})).toBe("no date");
});

describe("generation tags", () => {
  test("give the ranges of their text in UTF-16 units", () => {
    const template = new Template(
      "{% for m in ms %}😀{% generation %}{{ m }}{% endgeneration %}.{% endfor %}{% generation %}{% endgeneration %}",
    );
    expect(template.marksGenerations).toBe(true);
    expect(template.renderWithGenerations({ ms: ["a😀", "b"] })).toEqual({
      text: "😀a😀.😀b.",
      generations: [
        [2, 5],
        [8, 9],
        [10, 10],
      ],
    });
    expect(new Template("{{ 1 }}").marksGenerations).toBe(false);
  });

  test("where transformers would mark other text they are refused, and the text still renders", () => {
    const template = new Template("{% macro m() %}a{% generation %}b{% endgeneration %}{% endmacro %}{{ m() }}");
    expect(template.render({})).toBe("ab");
    expect(() => template.renderWithGenerations({})).toThrow(/must stand where its text is printed/);
  });
});
