import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { splitDocuments as split } from "./document-split.js";

const DOCUMENTS = Array.from({ length: 5000 }, (_, index) => `document ${index}`);
const splitDocuments = (documents: string[], options: Parameters<typeof split>[1]) => split(documents, options, String);
const OPTIONS = { validationFraction: 0.1, seed: 0 };

test("the held-out share is close to the fraction, and the order is kept", () => {
  const { train, validation } = splitDocuments(DOCUMENTS, OPTIONS);
  expect(validation.length / DOCUMENTS.length).toBeCloseTo(0.1, 1);
  const heldOut = new Set(validation);
  expect(train).toEqual(DOCUMENTS.filter((document) => !heldOut.has(document)));
});

test("a document keeps its side when others are added, removed or reordered", () => {
  const heldOut = new Set(splitDocuments(DOCUMENTS, OPTIONS).validation);
  const some = DOCUMENTS.filter((_, index) => index % 3 === 0).reverse();
  const { validation } = splitDocuments([...some, ...some, "new"], OPTIONS);
  expect(validation.filter((document) => document !== "new")).toEqual(
    [...some, ...some].filter((document) => heldOut.has(document)),
  );
});

test("another seed holds out others", () => {
  const { validation } = splitDocuments(DOCUMENTS, OPTIONS);
  expect(splitDocuments(DOCUMENTS, { ...OPTIONS, seed: 1 }).validation).not.toEqual(validation);
});

test.each([0.001, 0.5, 0.999])(
  "two different documents fall on both sides at a fraction of %d",
  (validationFraction) => {
    for (let seed = 0; seed < 50; seed++) {
      const { train, validation } = splitDocuments(["a", "b", "a"], { validationFraction, seed });
      expect(new Set(train).size).toBe(1);
      expect(new Set(validation).size).toBe(1);
      expect([...train, ...validation].sort()).toEqual(["a", "a", "b"]);
    }
  },
);

test("a single document is for training, and so is everything at a fraction of 0", () => {
  expect(splitDocuments(["a"], { validationFraction: 0.9, seed: 0 })).toEqual({ train: ["a"], validation: [] });
  expect(splitDocuments(["a", "b"], { validationFraction: 0, seed: 0 }).validation).toEqual([]);
});

test("a fraction that leaves nothing to train on is refused", () => {
  for (const validationFraction of [1, -0.1, Number.NaN]) {
    expect(() => splitDocuments(["a", "b"], { validationFraction, seed: 0 })).toThrow(ConfigError);
  }
});
