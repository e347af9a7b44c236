import { expect, test } from "vitest";
import type { EvalRecord } from "../metrics.js";
import { sampleList } from "./samples.js";

const evaluation = (step: number, over: Partial<EvalRecord>): EvalRecord => ({
  kind: "eval",
  step,
  loss: 5,
  perplexity: 148,
  tokens: 10,
  sample: "",
  ...over,
});

/** The texts of the list, in order, without its markup. */
const textOf = (markup: string): string[] => [...markup.matchAll(/>([^<>\n]+)</g)].map(([, text]) => text!);

test("free texts stand one below the other, the last first", () => {
  const list = sampleList([evaluation(0, { sample: "noise" }), evaluation(9, { sample: " words & more " })]);
  expect(textOf(list)).toEqual([
    "Step 9, held-out loss 5.0000",
    "words &amp; more",
    "Before training, held-out loss 5.0000",
    "noise",
  ]);
  expect(sampleList([])).toBe("");
});

test("held-out prompts stand above the last answer, the first, those between, and what the data have", () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "What is 2 + 2?" },
  ];
  const answered = ["fish", "5", "4"].map((text, index) =>
    evaluation(10 * index, { samples: [{ messages, text, reference: "It is 4." }] }),
  );
  const list = sampleList(answered);
  expect(textOf(list)).toEqual([
    ...["system", "Be brief.", "user", "What is 2 + 2?", "Step 20", "4", "Before training", "fish"],
    ...["Answers between", "Step 10", "5", "In the data", "In the data", "It is 4."],
  ]);
  expect(list.match(/class="bubble asked"/g)).toHaveLength(2);
});

test("a prompt that is no chat has no bubbles, and a single evaluation is not shown twice", () => {
  const list = sampleList([evaluation(0, { samples: [{ prompt: "dwarf (noun):", text: "a small" }] })]);
  expect(textOf(list)).toEqual(["dwarf (noun):", "Before training", "a small"]);
  expect(list).not.toContain("bubble");
});
