import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { columnRoles } from "./column-roles.js";
import { type RecordContent, RecordReader } from "./records.js";

const read = (columns: string, ...records: Record<string, unknown>[]): RecordContent[] => {
  const reader = new RecordReader(2, columnRoles(columns === "" ? [] : columns.split(",")));
  const read = records.map((record) => reader.read(record, "a.jsonl"));
  reader.requireAllSeen();
  return read;
};

const chat = (...messages: [role: string, content: string][]) => ({
  kind: "question-answer",
  conversation: { messages: messages.map(([role, content]) => ({ role, content })) },
});

test.each([
  [{ question: "q", answer: "a" }, "q\n"],
  [{ input: "q", output: "a" }, "q\n"],
  [{ prompt: "q", response: "a" }, "q\n"],
  [{ query: "q", answer: "a" }, "q\n"],
  [{ instruction: "q", response: "a" }, "q\n"],
])("%j is a question and its answer", (record, prompt) => {
  expect(read("", record)).toMatchObject([{ ...chat(["user", "q"], ["assistant", "a"]), prompt, completion: "a" }]);
});

test("a context stands before the question, and a system message before all", () => {
  const [record] = read("", { context: "c", query: "q", response: "a", system: "s" });
  expect(record).toMatchObject({
    ...chat(["system", "s"], ["user", "c\n\nq"], ["assistant", "a"]),
    prompt: "s\n\nc\n\nq\n",
  });
});

test("the names of other kinds go before: prompt and completion, instruction and output", () => {
  expect(read("", { prompt: "q", completion: "a" })[0]!.kind).toBe("prompt-completion");
  expect(read("", { instruction: "q", input: "i", output: "a" })[0]!.kind).toBe("instruction");
});

test("columns get their roles by name, whatever else the record has", () => {
  const record = { frage: "q", antwort: "a", persona: "s", text: "t", prompt: "p" };
  expect(read("prompt=frage,completion=antwort,system=persona", record)).toMatchObject([
    chat(["system", "s"], ["user", "q"], ["assistant", "a"]),
  ]);
  expect(read("text=frage", record)).toEqual([{ kind: "text", text: "q" }]);
  const messages = [{ role: "user", content: "q" }];
  expect(read("messages=dialog", { dialog: messages })).toMatchObject([{ kind: "messages" }]);
});

test("columns without a role, and those that another took the name of, are noted as not used", () => {
  const reader = new RecordReader(2, columnRoles(["prompt=frage", "completion=antwort"]));
  reader.read({ frage: "q", antwort: "a", prompt: "p", id: "1" }, "a.csv");
  expect([...reader.unused].sort()).toEqual(["id", "prompt"]);
});

test("the better answer of a pair can be named", () => {
  const pair = { prompt: "q", chosen: "a", rejected: "b" };
  expect(() => read("", pair)).toThrow(/methods such as DPO.*columns: \["prompt=prompt","completion=chosen"\]/);
  expect(read("prompt=prompt,completion=chosen", pair)).toMatchObject([{ prompt: "q\n", completion: "a" }]);
  const chosen = [{ role: "user", content: "q" }];
  expect(() => read("", { chosen, rejected: chosen })).toThrow(/columns: \["messages=chosen"\]/);
});

test.each([
  ["prompt=frgae,completion=antwort", /must have "frgae".*found are "frage", "antwort"; did you mean "frage"\?/],
  ["prompt=frage,completion=antwort,system=sistem", /no record has "sistem".*first are "frage", "antwort"/],
])("--columns %s names a column that is not there", (columns, message) => {
  expect(() => read(columns, { frage: "q", antwort: "a" })).toThrow(message);
});

test("unknown columns are answered with those there are, and the call that names them", () => {
  expect(() => read("", { Question: "q", Answer: "a" })).toThrow(
    /found are "Question", "Answer"; say which is which: columns: \["prompt=Question","completion=Answer"\]/,
  );
  expect(() => read("", { frage: "q", antwort: "a" })).toThrow(
    /columns: \["prompt=KEY","completion=KEY"\] or columns: \["text=KEY"\]/,
  );
});

test.each([
  ["promt=a", /columns: "promt" is no role of a column; there are .*; did you mean "prompt"\?/],
  ["prompt", /columns: "prompt" must be ROLE=COLUMN/],
  ["prompt=a,prompt=b", /columns: "prompt" is given twice/],
])("--columns %s is refused", (columns, message) => {
  expect(() => columnRoles(columns.split(","))).toThrow(ConfigError);
  expect(() => columnRoles(columns.split(","))).toThrow(message);
});
