// Scripts that tests start beside themselves import the built library, where the type check does not follow them.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const tests = new URL("./", import.meta.url);
const IMPORT = /import \{([^}]*)\} from "([./]*\/dist\/[^"]+)"/g;

const scripts = readdirSync(tests, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name: folder }) => readdirSync(new URL(folder, tests)).map((name) => `${folder}/${name}`))
  .filter((name) => name.endsWith(".mjs"));

const imports = scripts.flatMap((script) => {
  const url = new URL(script, tests);
  return [...readFileSync(url, "utf8").matchAll(IMPORT)].map(([, names, from]) => {
    return { script, from: from!, names: names!.match(/\w+/g)!, module: new URL(from!, url).href };
  });
});

test("such scripts are found", () => expect(imports.length).toBeGreaterThan(3));

test("they find what they import", () => {
  const check = `
    const missing = [];
    for (const { script, from, names, module } of ${JSON.stringify(imports)}) {
      const exported = await import(module);
      for (const name of names) if (!(name in exported)) missing.push(script + ": " + name + " from " + from);
    }
    console.log(JSON.stringify(missing));`;
  const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", check], { encoding: "utf8" });
  expect(JSON.parse(printed)).toEqual([]);
});
