import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { openDataset } from "./dataset.js";
import { readDatasetCard } from "./dataset-card.js";
import { encodeRecords } from "./encoded-data.js";
import { splitFiles } from "./split-files.js";

// Made by tests/peers/python/data_golden.py with datasets and TRL.
const FOLDER = fileURLToPath(new URL("../../tests/golden/trl/", import.meta.url));

interface Expected {
  readonly files: Readonly<Record<string, { readonly samples: readonly { ids: number[]; labels: number[] }[] }>>;
  readonly folders: readonly {
    readonly files: string[];
    readonly sides: Readonly<Record<string, readonly string[]>>;
  }[];
  readonly cards: readonly {
    readonly card: string;
    readonly files: string[];
    readonly sides: Readonly<Record<string, readonly string[]>> | null;
  }[];
}

const expected = JSON.parse(await readFile(`${FOLDER}expected.json`, "utf8")) as Expected;

test.each(Object.entries(expected.files))("%s has the tokens and labels of TRL", async (name, { samples }) => {
  const tokenizer = await Tokenizer.fromFolder(`${FOLDER}tokenizer`);
  const { kind, train } = await openDataset(FOLDER + name);
  const options = { sequenceLength: 500, packing: "none" as const, trainOnInputs: false };
  const encoded = await encodeRecords(kind, train, tokenizer, options);
  const own = Array.from(encoded.samples, ({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }));
  expect(own).toEqual(samples);
});

test.each(expected.folders)("the folder of $files is split as datasets does", ({ files, sides }) => {
  const { train, validation, leftOut } = splitFiles([...files].sort());
  expect(train).toEqual(sides.train ?? []);
  expect(validation).toEqual(sides.validation ?? []);
  expect([...train, ...validation, ...leftOut].sort()).toEqual([...files].sort());
});

test.each(expected.cards)("a dataset card says where data are: $card", ({ card, files, sides }) => {
  const split = () => splitFiles([...files].sort(), readDatasetCard(`---\n${card}---\n# Card\n`));
  if (sides === null) expect(split).toThrow(/describes the data sets en, fr, and none is the default; name/);
  else {
    const { train, validation } = split();
    expect(train).toEqual([...(sides.train ?? [])].sort());
    expect(validation).toEqual([...(sides.validation ?? [])].sort());
  }
});
