import { expect, test } from "vitest";
import { renderSynset, wordNetDocuments, wordNetLicense } from "./wordnet-text.js";

test("a synset becomes an English sentence with its examples", () => {
  expect(
    renderSynset(
      "02208144 40 v 02 keep 1 hold_on 1 002 @ 02207719 v 0000 ~ 02208602 v 0000 | " +
        'retain possession of;  "Can I keep it?"; "She kept her maiden name"  ',
    ),
  ).toBe('keep, hold on (verb): retain possession of. "Can I keep it?"; "She kept her maiden name".');
});

test("markers of position, other quotation marks and attributions become plain text", () => {
  expect(renderSynset("00020141 00 s 02 ready_to_hand(p) 0 outback(a) 0 000 | as in `at hand'  ")).toBe(
    "ready to hand, outback (adjective): as in 'at hand'.",
  );
  expect(renderSynset('00000000 02 r 01 unawares 0 000 | suddenly: "it takes them unawares"--A.Lincoln  ')).toBe(
    'unawares (adverb): suddenly. "it takes them unawares" - A.Lincoln.',
  );
});

test("a file is its license and its documents", () => {
  const file = "  1 Use it  \n  2   and keep this  \n00000000 02 r 01 unawares 0 000 | suddenly  \n";
  expect(wordNetLicense(file)).toBe("Use it\n  and keep this\n");
  expect(wordNetDocuments(file)).toEqual(["unawares (adverb): suddenly."]);
});
