import { expect, test } from "vitest";
import type { HeldOutSample } from "../runs/held-out-sample.js";
import type { EvalRecord } from "../runs/metrics.js";
import { beforeAndAfterLines } from "./before-and-after.js";

function evaluation(step: number, samples: readonly HeldOutSample[] | undefined): EvalRecord {
  return { kind: "eval", step, loss: 2, perplexity: 7.4, tokens: 10, sample: "", ...(samples && { samples }) };
}

test("the first answers stand above the last ones, each on a line that fits", () => {
  const chat = (text: string): HeldOutSample => ({
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "What does\na dog do?" },
    ],
    text,
    reference: "It barks.",
  });
  const records = [
    evaluation(0, [chat(`It ${"sleeps ".repeat(20)}`), { prompt: "2 + 2 = ", text: "5" }]),
    evaluation(5, [chat("No."), { prompt: "2 + 2 = ", text: "3" }]),
    evaluation(10, [chat("It barks\u001b[31m."), { prompt: "2 + 2 = ", text: "4" }]),
    evaluation(11, undefined),
  ];
  expect(beforeAndAfterLines(records, 60)).toEqual([
    "answers user: What does a dog do?",
    "        before  It sleeps sleeps sleeps sleeps sleeps sleep…",
    "        after   It barks·[31m.",
    "        data    It barks.",
    "        2 + 2 =",
    "        before  5",
    "        after   4",
  ]);
  expect(beforeAndAfterLines(records.slice(1), 60)[1]).toBe("        step 5  No.");
  expect(beforeAndAfterLines(records.slice(0, 1), 60)).toEqual([]);
  expect(beforeAndAfterLines([], 60)).toEqual([]);
});
