import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

// Arguments of a call lie on the stack, which holds about 100,000: a list of any length must not be spread into one.

/** Functions that may take a spread: what is spread into them is as short as their signature, or is their own list. */
const BOUNDED = [
  ...["fn", "run", "callStringMethod"], // arguments, counted before
  ...["slice", "set", "positive"], // tuples
  ...["isName", "isOperator"], // words of a grammar
  "join", // its caller's arguments
];

/** Functions into whose calls a source spreads a list, with the lines. */
function spreads(source: string): [name: string, line: number][] {
  const found: [string, number][] = [];
  const code = source.replace(/^ *(\/?\*|\/\/).*$/gm, "");
  for (const { index } of code.matchAll(/(?<=[\s(])\.\.\.(?![\w#]+\??:)/g)) {
    let depth = 0;
    let at = index - 1;
    for (; at >= 0; at--) {
      if (")]}".includes(code[at]!)) depth++;
      else if ("([{".includes(code[at]!) && depth-- === 0) break;
    }
    const [, name] = /(\w+)[\])>?.]*\($/.exec(code.slice(0, at + 1)) ?? [];
    if (name !== undefined) found.push([name, code.slice(0, index).split("\n").length]);
  }
  return found;
}

test("a spread into a call is found, and one into a list, an object or a parameter is not", () => {
  const calls =
    "const a = [...b];\nlist.push(1, ...b.map((x) => [x]));\nMath.max(\n  0,\n  ...a,\n);\ntable[0]?.(...a);";
  expect(spreads(calls)).toEqual([
    ["push", 2],
    ["max", 5],
    ["0", 7],
  ]);
  expect(spreads("list.push([...b]);\nf({ ...a });\nfunction f(...all: number[]) {}\n// f(...a)")).toEqual([]);
});

test("no list of any length is spread into a call", () => {
  const root = new URL("../src/", import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
  );
  const all = files.flatMap((file) =>
    spreads(readFileSync(new URL(file, root), "utf8")).map(([name, line]) => ({ name, place: `${file}:${line}` })),
  );
  const found = all.filter(({ name }) => !BOUNDED.includes(name)).map(({ name, place }) => `src/${place}: ${name}`);
  expect(files.length).toBeGreaterThan(100);
  expect(found, "use append, largest or smallest").toEqual([]);
  for (const name of BOUNDED)
    expect(
      all.map((each) => each.name),
      "the exceptions are needed",
    ).toContain(name);
});
