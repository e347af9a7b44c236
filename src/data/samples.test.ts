import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { trainBytePairEncoding } from "../tokenizers/bpe-trainer.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { openDataset } from "./dataset.js";
import { type EncodedRecords, type EncodingOptions, encodeRecords } from "./encoded-data.js";
import { IGNORED_LABEL } from "./rows.js";

const CHATML =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/** Bytes and the special tokens of ChatML; one token merges " y" and "es". */
const json = trainBytePairEncoding([" yes", " yes yes"], {
  vocabSize: 270,
  specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
});
const surrounding = Tokenizer.fromJson(json, { eos_token: "<|endoftext|>", chat_template: CHATML });
const tokenizer = surrounding.withoutSurround();
const bare = Tokenizer.fromJson(json, { eos_token: "<|endoftext|>" });

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-samples-"));
});
afterAll(async () => rm(folder, { recursive: true }));

const OPTIONS: EncodingOptions = { sequenceLength: 300, packing: "auto", trainOnInputs: false };

async function encode(
  records: readonly object[],
  change: Partial<EncodingOptions> = {},
  by: Tokenizer = tokenizer,
): Promise<EncodedRecords> {
  const path = join(folder, "a.jsonl");
  await writeFile(path, records.map((record) => JSON.stringify(record)).join("\n"));
  const { kind, train } = await openDataset(path);
  return encodeRecords(kind, train, by, { ...OPTIONS, ...change });
}

/** The text of a sample with its scored parts in brackets. */
async function shown(record: object, change: Partial<EncodingOptions> = {}, by = tokenizer): Promise<string> {
  const { ids, labels } = (await encode([record], change, by)).samples.at(0)!;
  const marks = Array.from(ids, (id, i) => {
    expect([id, IGNORED_LABEL]).toContain(labels[i]);
    return labels[i] === id ? `[${tokenizer.decode([id])}]` : tokenizer.decode([id]);
  });
  return marks.join("").replaceAll("][", "");
}

const CHAT = {
  messages: [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Yes" },
    { role: "user", content: "So" },
    { role: "assistant", content: "No" },
  ],
};

test("each turn of the assistant in a conversation is scored, with all that the template writes at its end", async () => {
  const user = (text: string) => `<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`;
  expect(await shown(CHAT)).toBe(`${user("Hi")}[Yes<|im_end|>\n]${user("So")}[No<|im_end|>\n]`);
  expect(await shown(CHAT, { scoredTurns: "reply" })).toBe(
    `${user("Hi")}[Yes<|im_end|>]\n${user("So")}[No<|im_end|>]\n`,
  );
  expect(await shown(CHAT, { trainOnInputs: true })).toBe(`[${user("Hi")}Yes<|im_end|>\n${user("So")}No<|im_end|>\n]`);
});

test("a conversation whose template ends no turn is ended", async () => {
  const open = tokenizer.withChatTemplate("{% for m in messages %}{{ m.role }}:{{ m.content }} {% endfor %}");
  const { ids, labels } = (await encode([CHAT], {}, open)).samples.at(0)!;
  expect(tokenizer.decode(ids)).toBe("user:Hi assistant:Yes user:So assistant:No <|endoftext|>");
  expect(labels.at(-1)).toBe(tokenizer.endOfTextId);
});

test("messages that the data leave out are not scored", async () => {
  const marked = CHAT.messages.map((message, index) => (index === 1 ? { ...message, weight: 0 } : message));
  const user = (text: string) => `<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`;
  expect(await shown({ messages: marked })).toBe(`${user("Hi")}Yes<|im_end|>\n${user("So")}[No<|im_end|>\n]`);
  await expect(shown({ messages: marked }, { trainOnInputs: true })).rejects.toThrow(
    /line 1: its messages say which of them are scored; leave that out, or trainOnInputs/,
  );
  const joined = tokenizer.withChatTemplate(
    "{% generation %}{% for m in messages %}{{ m.content }} {% endfor %}{% endgeneration %}",
  );
  await expect(encode([{ messages: marked }], {}, joined)).rejects.toThrow(
    /line 1: some messages are not to be scored, but its chat template shows 1 parts of the assistant for 2 messages/,
  );
});

test("a completion in messages is scored whole, after the prompt with its generation prompt", async () => {
  const record = { prompt: CHAT.messages.slice(0, 1), completion: CHAT.messages.slice(1) };
  const user = (text: string) => `<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`;
  expect(await shown(record)).toBe(`${user("Hi")}[Yes<|im_end|>\n${user("So")}No<|im_end|>\n]`);
  expect(await shown(record, { trainOnInputs: true })).toBe(
    `[${user("Hi")}Yes<|im_end|>\n${user("So")}No<|im_end|>\n]`,
  );
});

test("only the completion and the end of text are scored after a prompt", async () => {
  expect(await shown({ prompt: "Q:", completion: " no" })).toBe("Q:[ no<|endoftext|>]");
  expect(await shown({ prompt: "", completion: "all" })).toBe("[all<|endoftext|>]");
  expect(await shown({ prompt: "Q:", completion: "no" }, { trainOnInputs: true })).toBe("[Q:no<|endoftext|>]");
});

test("a token across the border belongs to the completion", async () => {
  expect(tokenizer.encode("Q yes")).toHaveLength(2);
  expect(await shown({ prompt: "Q y", completion: "es" })).toBe("Q[ yes<|endoftext|>]");
});

test("Alpaca's records get Alpaca's prompts", async () => {
  const long = await shown({ instruction: "Add.", input: "1 2", output: "3" });
  expect(long).toBe(
    "Below is an instruction that describes a task, paired with an input that provides further context. " +
      "Write a response that appropriately completes the request.\n\n" +
      "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n[3<|endoftext|>]",
  );
  expect(await shown({ instruction: "Stop.", input: "", output: "Done" })).toBe(
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n" +
      "### Instruction:\nStop.\n\n### Response:\n[Done<|endoftext|>]",
  );
});

test("text that is not packed has a sample per document", async () => {
  const { isStream, samples } = await encode([{ text: "ab" }, { text: "c" }], { packing: "none" });
  expect(isStream).toBe(false);
  expect(Array.from(samples, ({ ids }) => tokenizer.decode(ids))).toEqual(["ab<|endoftext|>", "c<|endoftext|>"]);
  expect((await encode([{ text: "ab" }])).isStream).toBe(true);
});

test("long samples are cut and counted; one left without scored tokens is named", async () => {
  const records = [
    { prompt: "Q", completion: "0123456789" },
    { prompt: "Q", completion: "0" },
  ];
  const { counts } = await encode(records, { sequenceLength: 5 });
  expect(counts).toEqual({
    ...{ samples: 2, tokens: 9, scoredTokens: 7 },
    lengths: { min: 3, median: 6, max: 6 },
    truncation: { samples: 1, tokens: 6 },
  });
  const masked = encode([records[1]!, { prompt: "01234567", completion: "8" }], { sequenceLength: 5 });
  await expect(masked).rejects.toThrow(DataError);
  await expect(masked).rejects.toThrow(/a\.jsonl, line 2: no token is scored: only the first 6 of its 10 tokens fit/);
});

test.each([
  ["a conversation without an assistant", { messages: [{ role: "user", content: "Hi" }] }, /no turn of the assistant/],
  ["labels that are all masked", { input_ids: [1, 2, 3], labels: [1, -100, -100] }, /all its labels are -100/],
  ["a single token", { input_ids: [1] }, /at least 2 ids/],
])("%s is named with its line", async (_, record, message) => {
  const encoding = encode([record]);
  await expect(encoding).rejects.toThrow(/a\.jsonl, line 1: /);
  await expect(encoding).rejects.toThrow(message);
});

test("messages without a template, and a template that refuses them, say so", async () => {
  await expect(encode([CHAT], {}, bare)).rejects.toThrow(
    /no chat template; name one with chatTemplate, .*, or a model/,
  );
  const refusing = bare.withChatTemplate("{{ raise_exception('Only users here') }}");
  await expect(encode([CHAT, CHAT], {}, refusing)).rejects.toThrow(/line 1: .*Only users here\n.*line 2: /);
});

test.each([
  [
    {
      chat_template: [
        { name: "default", template: CHATML },
        { name: "tool_use", template: "x" },
      ],
    },
    true,
  ],
  [{ chat_template: [{ name: "only", template: CHATML }] }, true],
  [
    {
      chat_template: [
        { name: "rag", template: "x" },
        { name: "tool_use", template: "x" },
      ],
    },
    false,
  ],
  [{ chat_template: 3 }, false],
])("templates by name: %j", async (config, isFound) => {
  const encoding = encode([CHAT], {}, Tokenizer.fromJson(json, config));
  if (isFound) expect((await encoding).samples).toHaveLength(1);
  else await expect(encoding).rejects.toThrow(/tokenizer_config\.json: chat_template/);
});

test("kinds are not mixed, within a file or among files", async () => {
  await expect(encode([{ prompt: "a", completion: "b" }, { text: "c" }])).rejects.toThrow(
    /line 2: must have "prompt" and "completion"; the keys found are "text"; one source has one kind/,
  );
  await expect(encode([{ question: "a" }])).rejects.toThrow(
    /line 1: must have "input_ids"; or "messages"; or .*"question"/,
  );
});

test("packed samples stay whole, and none predicts the first token of the next", async () => {
  const records = [7, 3, 5, 2].map((length) => ({ input_ids: Array.from({ length }, (_, i) => 10 * length + i) }));
  const rows = (await encode(records, { packing: "joined", sequenceLength: 9 })).trainingRows();
  expect(rows.count).toBe(2);
  const batch = rows.batch([0], 1);
  expect([...batch.inputIds]).toEqual([70, 71, 72, 73, 74, 75, 76, 30, 31]);
  expect([...batch.labels]).toEqual([71, 72, 73, 74, 75, 76, IGNORED_LABEL, 31, 32]);
});

test("what the tokenizer puts around a text stands there, unscored in front; a chat template writes it itself", async () => {
  expect(await shown({ prompt: "Q:", completion: " no" }, {}, surrounding)).toBe("<|endoftext|>Q:[ no<|endoftext|>]");
  const ends = { type: "RobertaProcessing", sep: ["<|endoftext|>", 0], cls: ["<|im_end|>", 2] };
  const both = Tokenizer.fromJson({ ...json, post_processor: ends }, { eos_token: "<|endoftext|>" });
  expect(await shown({ prompt: "Q:", completion: " no" }, {}, both)).toBe("<|im_end|>Q:[ no<|endoftext|>]");
  expect(await shown({ instruction: "I", output: "o" }, {}, both)).toMatch(
    /^<\|im_end\|>Below[\s\S]*\[o<\|endoftext\|>\]$/,
  );
  const { samples } = await encode([{ text: "ab" }], { packing: "none" }, both);
  expect(both.decode(samples.at(0)!.ids)).toBe("<|im_end|>ab<|endoftext|>");
  expect(await shown(CHAT, {}, surrounding)).toBe(await shown(CHAT));
  const stream = both.encodeDocuments(["ab", "c"]);
  expect(both.decode(stream)).toBe("<|im_end|>ab<|endoftext|><|im_end|>c<|endoftext|>");
  expect(tokenizer.decode(surrounding.encodeDocuments(["ab", "c"]))).toBe("ab<|endoftext|>c<|endoftext|>");
});
