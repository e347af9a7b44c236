import { expect, test } from "vitest";
import { adviceForVerb } from "./verb-advice.js";

const VERBS = [
  "train",
  "resume",
  "compare",
  "eval",
  "generate",
  "quantize",
  "merge",
  "export",
  "push",
  "data",
  "inspect",
];

test.each([
  ["finetune", "train"],
  ["fine-tune", "train"],
  ["ask", "generate"],
  ["run", "generate"],
  ["infer", "generate"],
  ["predict", "generate"],
  ["test", "eval"],
  ["evaluate", "eval"],
  ["fuse", "merge"],
  ["convert", "export"],
  ["upload", "push"],
  ["sweep", "train --sweep"],
  ["help", "--help"],
  ["trian", "train"],
  ["genrate", "generate"],
  ["Train", "train"],
])("%s means %s", (named, verb) => expect(adviceForVerb(named, VERBS)).toBe(`; did you mean "${verb}"?`));

test.each(["frobnicate", "employ", "tent", "date9x"])("%s is near no verb, so all are listed", (named) =>
  expect(adviceForVerb(named, VERBS)).toBe(`; there are ${VERBS.join(", ")}`),
);
