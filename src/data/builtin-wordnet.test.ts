import { expect, test } from "vitest";
import { loadWordNet } from "./builtin-wordnet.js";

test("WordNet has 117,791 synsets, without the license lines, and all of it is English text", async () => {
  const documents = await loadWordNet();
  expect(documents).toHaveLength(82_192 + 13_789 + 18_185 + 3_625);
  expect(documents[0]).toMatch(/^entity \(noun\): that which is perceived/);
  expect(documents.at(-1)).toMatch(/^\S.* \(adverb\): /);
  const form = /^[^\s_`|][^_`|]* \((noun|verb|adjective|adverb)\): \S[^`|\n]*\.$/;
  expect(documents.filter((document) => !form.test(document))).toEqual([]);
});
