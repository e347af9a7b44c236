import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { drawSides, type SplitOptions } from "./document-split.js";

const DOCUMENTS = Array.from({ length: 5000 }, (_, index) => `document ${index}`);

/** The documents of each side; they come in parts of at most three. */
async function splitDocuments(
  documents: readonly string[],
  options: SplitOptions,
): Promise<{ train: string[]; validation: string[] }> {
  async function* parts(): AsyncGenerator<readonly string[]> {
    for (let from = 0; from < documents.length; from += 3) yield documents.slice(from, from + 3);
  }
  const sides = await drawSides(parts(), documents.length, options);
  const on = (side: number) => documents.filter((_, index) => sides[index] === side);
  return { train: on(0), validation: on(1) };
}

const OPTIONS = { validationFraction: 0.1, seed: 0 };

test("the held-out share is close to the fraction, and the order is kept", async () => {
  const { train, validation } = await splitDocuments(DOCUMENTS, OPTIONS);
  expect(validation.length / DOCUMENTS.length).toBeCloseTo(0.1, 1);
  const heldOut = new Set(validation);
  expect(train).toEqual(DOCUMENTS.filter((document) => !heldOut.has(document)));
});

test("a document keeps its side when others are added, removed or reordered", async () => {
  const heldOut = new Set((await splitDocuments(DOCUMENTS, OPTIONS)).validation);
  const some = DOCUMENTS.filter((_, index) => index % 3 === 0).reverse();
  const { validation } = await splitDocuments([...some, ...some, "new"], OPTIONS);
  expect(validation.filter((document) => document !== "new")).toEqual(
    [...some, ...some].filter((document) => heldOut.has(document)),
  );
});

test("another seed holds out others", async () => {
  const { validation } = await splitDocuments(DOCUMENTS, OPTIONS);
  expect((await splitDocuments(DOCUMENTS, { ...OPTIONS, seed: 1 })).validation).not.toEqual(validation);
});

test.each([0.001, 0.5, 0.999])(
  "two different documents fall on both sides at a fraction of %d",
  async (validationFraction) => {
    for (let seed = 0; seed < 50; seed++) {
      const { train, validation } = await splitDocuments(["a", "b", "a"], { validationFraction, seed });
      expect(new Set(train).size).toBe(1);
      expect(new Set(validation).size).toBe(1);
      expect([...train, ...validation].sort()).toEqual(["a", "a", "b"]);
    }
  },
);

test("a single document is for training, and so is everything at a fraction of 0", async () => {
  expect(await splitDocuments(["a"], { validationFraction: 0.9, seed: 0 })).toEqual({ train: ["a"], validation: [] });
  expect((await splitDocuments(["a", "b"], { validationFraction: 0, seed: 0 })).validation).toEqual([]);
});

test("a fraction that leaves nothing to train on is refused", async () => {
  for (const validationFraction of [1, -0.1, Number.NaN]) {
    await expect(splitDocuments(["a", "b"], { validationFraction, seed: 0 })).rejects.toThrow(ConfigError);
  }
});
