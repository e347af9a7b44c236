import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { openDataset } from "../../src/data/dataset.js";
import { encodeRecords } from "../../src/data/encoded-data.js";
import { Tokenizer } from "../../src/tokenizers/tokenizer.js";
import { ask, describePeers, realModel } from "./peer.js";

const FOLDER = fileURLToPath(new URL("../golden/trl/", import.meta.url));

interface Sample {
  readonly ids: number[];
  readonly labels: number[];
}

interface Golden {
  readonly files: Readonly<Record<string, { readonly how: object; readonly samples: readonly Sample[] }>>;
  readonly folders: readonly { readonly files: string[]; readonly sides: object }[];
  readonly cards: readonly { readonly card: string; readonly files: string[]; readonly sides: object | null }[];
}

const golden = JSON.parse(await readFile(`${FOLDER}expected.json`, "utf8")) as Golden;

async function own(data: string, folder: string): Promise<Sample[]> {
  const { kind, train } = await openDataset(data);
  const options = { sequenceLength: 500, packing: "none" as const, trainOnInputs: false };
  const { samples } = await encodeRecords(kind, train, await Tokenizer.fromFolder(folder), options);
  return Array.from(samples, ({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }));
}

describePeers("what datasets and TRL make of files", () => {
  beforeAll(() => ask("data", "load"));

  test.each(Object.entries(golden.files))("%s: the golden samples are theirs", async (name, { how, samples }) => {
    const tokenizer = `${FOLDER}tokenizer`;
    expect(await ask("data", "prepare", { data: FOLDER + name, tokenizer, ...how })).toEqual(samples);
  });

  test("the golden splits of folders are theirs", async () => {
    const folders = golden.folders.map(({ files }) => files);
    expect(await ask("data", "sides", { folders })).toEqual(golden.folders.map(({ sides }) => sides));
    const cards = golden.cards.map(({ card, files }) => [card, files]);
    expect(await ask("data", "card_sides", { cards })).toEqual(golden.cards.map(({ sides }) => sides));
  });

  test.each(["text.jsonl", "pairs.jsonl", "completions.jsonl", "completions.parquet"])(
    "%s has the same tokens and labels with the tokenizer of SmolLM2",
    async (name) => {
      const folder = await realModel("smollm2-135m");
      const expected = await ask<Sample[]>("data", "prepare", { data: FOLDER + name, tokenizer: folder });
      expect(await own(FOLDER + name, folder)).toEqual(expected);
    },
  );
});
