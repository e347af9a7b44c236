import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import type { HeldOutPrompt } from "./held-out-prompts.js";
import { type PreparedRun, prepareRun } from "./prepare.js";

const TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: ";

let folder = "";
const at = (name: string): string => path.join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-prompts-"));
  await writeFile(at("chat.jinja"), TEMPLATE);
});
afterAll(() => rm(folder, { recursive: true }));

async function prepared(
  name: string,
  content: string | readonly object[],
  change: Partial<Settings> = {},
): Promise<PreparedRun> {
  const lines = typeof content === "string" ? content : content.map((each) => JSON.stringify(each)).join("\n");
  await writeFile(at(name), lines);
  await writeFile(at(`valid-${name}`), lines);
  const data = { data: at(name), validData: at(`valid-${name}`), chatTemplate: at("chat.jinja") };
  const flags = { model: "tiny", vocabSize: 300, sequenceLength: 64, sampleTokens: 8, ...data, ...change };
  return prepareRun(completeSettings(resolveSettings({ flags })));
}

const shownOf = (prompts: readonly HeldOutPrompt[]) => prompts.map(({ shown }) => shown);

test("of records the first three prompts that fit are asked, with the answers of the data beside them", async () => {
  const pair = (prompt: string) => ({ prompt, completion: `answer to ${prompt}` });
  const { heldOutPrompts, tokenizer } = await prepared(
    "pairs.jsonl",
    ["one?", `${Array.from({ length: 100 }, (_, i) => i ** 3)}?`, "two?", "three?", "four?"].map(pair),
    { sequenceLength: 1024 },
  );
  expect(shownOf(heldOutPrompts)).toEqual(
    ["one?", "two?", "three?"].map((prompt) => ({ prompt, reference: `answer to ${prompt}` })),
  );
  expect(heldOutPrompts[0]).toMatchObject({ ids: tokenizer!.encodePrompt("one?", null), endIds: [], isOpen: false });
  expect((await prepared("pairs.jsonl", [pair("one?"), pair("two?")], { sampleTokens: 0 })).heldOutPrompts).toEqual([]);
});

test("chats are asked up to the answer as the template writes them, and what is no text is shown as JSON", async () => {
  const call = [{ type: "function", function: { name: "time", arguments: {} } }];
  const chat = [
    { role: "user", content: "Hello?" },
    { role: "assistant", content: "", tool_calls: call },
    { role: "tool", content: [{ type: "text", text: "nine" }] },
    { role: "assistant", content: `It is nine. ${"x".repeat(600)}` },
  ];
  const { heldOutPrompts, tokenizer } = await prepared("chat.jsonl", [{ messages: chat }, { messages: chat }], {
    sequenceLength: 512,
  });
  const [{ shown, ids, isOpen }] = heldOutPrompts as [HeldOutPrompt];
  expect(shown.messages).toEqual([
    { role: "user", content: "Hello?" },
    { role: "assistant", content: "" },
    { role: "tool", content: "nine" },
  ]);
  expect(shown.reference).toMatch(/^It is nine\. x{388}…$/);
  expect(isOpen).toBe(false);
  expect(tokenizer!.decode(ids)).toMatch(/^user: Hello\?\n.*nine.*\nassistant: $/s);
});

test("of texts the first words are continued, and of rows without whole texts the first tokens", async () => {
  const long = "The quick brown fox jumps over the lazy dog and then it runs away from all the other animals here.";
  const { heldOutPrompts } = await prepared("texts.txt", [long, "short one", "私は猫が好きです"].join("\n\n"));
  expect(heldOutPrompts.map(({ shown }) => shown.prompt)).toEqual([
    "The quick brown fox jumps over the lazy dog and",
    "shor",
    "私は猫が",
  ]);
  expect(heldOutPrompts[0]!.shown.reference).toBe(long.slice(47));
  expect(heldOutPrompts[0]!.isOpen).toBe(true);

  const one = await prepared("one.txt", animalText().replaceAll("\n", " "), { validData: null, sequenceLength: 32 });
  expect(one.heldOutPrompts).toHaveLength(3);
  const { shown, ids } = one.heldOutPrompts[1]!;
  expect(ids).toHaveLength(16);
  expect(one.tokenizer!.decode(ids)).toBe(shown.prompt);
  expect(animalText().replaceAll("\n", " ")).toContain(shown.prompt! + shown.reference!);

  const rows = [4, 5, 6].map((id) => ({ input_ids: [id, id + 1, id + 2, id + 3] }));
  expect((await prepared("rows.jsonl", rows, { chatTemplate: null })).heldOutPrompts).toEqual([]);
});
