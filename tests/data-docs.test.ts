import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asAskedOf, openDataset } from "../src/data/dataset.js";
import { encodeRecords } from "../src/data/encoded-data.js";
import { BUILT_IN_TEMPLATES } from "../src/tokenizers/built-in-templates.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";

const page = await readFile(new URL("../docs/data.md", import.meta.url), "utf8");
/** A record in a file with this ending, flags for it, and the text of its sample with what is scored in brackets. */
const samples = [
  ...page.matchAll(/```(json|csv|tsv)( --columns \S+)?\n(.*?)\n```\n\n```text( without a template)?\n(.*?)\n```\n/gs),
].map(
  ([, format, flags, record, plain, text]) =>
    [record!, { format, flags, isPlain: plain !== undefined }, text!] as const,
);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-data-docs-"));
});
afterAll(async () => rm(folder, { recursive: true }));

test("the page shows each kind", () => {
  expect(samples.length).toBeGreaterThanOrEqual(14);
});

test.each(samples)("the page's sample %s", async (record, { format, flags, isPlain }, text) => {
  const path = join(folder, `a.${format === "json" ? "jsonl" : format}`);
  await writeFile(path, record);
  const columns = (flags ?? "")
    .split(" ")
    .at(-1)!
    .split(",")
    .filter((item) => item !== "");
  const own = await Tokenizer.fromFolder(fileURLToPath(new URL("golden/trl/tokenizer", import.meta.url)));
  const { chat_template: _, ...plain } = own.config;
  const tokenizer = isPlain ? Tokenizer.fromJson(own.toJson(), plain) : own;
  const { kind, train } = asAskedOf(await openDataset(path, { columns }), tokenizer);
  const options = { sequenceLength: 1000, packing: "none" as const, trainOnInputs: false };
  const { ids, labels } = (await encodeRecords(kind, train, tokenizer, options)).samples.at(0)!;
  // The first token is never scored.
  const shown = Array.from(ids, (id, i) =>
    i > 0 && labels[i] === id ? `[${tokenizer.decode([id])}]` : tokenizer.decode([id]),
  );
  expect(shown.join("").replaceAll("][", "").trimEnd()).toBe(text);
});

test("the page's table of built-in templates is that of the program", () => {
  const rows = [...page.matchAll(/^\| (`[a-z0-9, `]+`) \| (.*?[^\\]) \| .* \|$/gm)].map(([, names, tokens]) => [
    names!,
    tokens!,
  ]);
  const listed = rows.flatMap(([names, tokens]) =>
    [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => [
      name!,
      [...tokens!.matchAll(/`([^`]+)`/g)].map(([, token]) => token!.replaceAll("\\|", "|")),
    ]),
  );
  const known = Object.entries(BUILT_IN_TEMPLATES).map(([name, { tokens }]) => [name, tokens]);
  const names = new Set(known.map(([name]) => name));
  expect(new Map(listed.filter(([name]) => names.has(name as string)) as [])).toEqual(new Map(known as []));
});
