import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { PythonFloat } from "../python/float.js";
import { parsePythonJson } from "../python/json.js";
import { asConversation, type DataRecord, hasContext, type RecordContent, RecordReader } from "./records.js";

const read = (json: string, rules: 1 | 2 | 3 = 3): RecordContent =>
  new RecordReader(rules).read(parsePythonJson(json) as Record<string, unknown>, "a.jsonl");

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

test.each([
  ['[{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]', [user("a"), assistant("b")]],
  [
    '[{"from": "system", "value": "s"}, {"from": "user", "value": "a"}, {"from": "model", "value": "b"}]',
    [{ role: "system", content: "s" }, user("a"), assistant("b")],
  ],
  [
    '[{"from": "function_call", "value": "{\\"name\\": \\"f\\", \\"arguments\\": {\\"x\\": 1.0}}"}, ' +
      '{"from": "observation", "value": "ok"}]',
    [
      {
        role: "assistant",
        content: "",
        tool_calls: [{ type: "function", function: { name: "f", arguments: { x: new PythonFloat(1) } } }],
      },
      { role: "tool", content: "ok" },
    ],
  ],
  ['[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]', [user("a"), assistant("b")]],
])("conversations %s", (conversations, messages) => {
  for (const key of ["conversations", "messages"]) {
    expect(read(`{"${key}": ${conversations}}`)).toEqual({ kind: "messages", conversation: { messages } });
  }
});

test("what stands beside messages belongs to the conversation", () => {
  const messages = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]';
  const tools = JSON.stringify('[{"type": "function", "function": {"name": "f", "default": 2.0}}]');
  const record = read(
    `{"messages": ${JSON.stringify(messages)}, "tools": ${tools}, "system": "s", ` +
      `"chat_template_kwargs": {"enable_thinking": false, "documents": ["d"], "top": 9007199254740993}}`,
  );
  expect(record).toEqual({
    kind: "messages",
    conversation: {
      messages: [{ role: "system", content: "s" }, user("a"), assistant("b")],
      tools: [{ type: "function", function: { name: "f", default: new PythonFloat(2) } }],
      documents: ["d"],
      templateVariables: { enable_thinking: false, top: 9007199254740993n },
    },
  });
});

test.each([
  ["weight", "0", "1"],
  ["weight", "0.0", "1.0"],
  ["train", "false", "true"],
  ["training", "0", "true"],
  ["loss", "false", "null"],
])('"%s" says whether a message is scored: %s and %s', (key, no, yes) => {
  const turn = (value: string) =>
    `{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "${key}": ${value}}`;
  expect(read(`{"messages": [${turn(no)}, ${turn(yes)}]}`)).toMatchObject({ scored: [true, false, true, true] });
  expect(read(`{"messages": [${turn(yes)}]}`)).not.toHaveProperty("scored");
});

test("a completion in messages is known by the number of messages of its prompt", () => {
  const record = read(
    '{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}], "system": "s"}',
  );
  expect(record).toEqual({
    kind: "prompt-completion messages",
    promptMessages: 2,
    conversation: { messages: [{ role: "system", content: "s" }, user("a"), assistant("b")] },
  });
});

test("one system or history makes conversations of all instructions", () => {
  const records = (...lines: string[]): readonly DataRecord[] => {
    const own = lines.map(
      (line, i): DataRecord => ({ place: { path: "a", unit: "line", number: i + 1 }, ...read(line) }),
    );
    return own.some(hasContext) ? own.map(asConversation) : own;
  };
  const plain = '{"instruction": "Add.", "input": "1 2", "output": "3", "system": "", "history": []}';
  expect(records(plain, plain).map(({ kind }) => kind)).toEqual(["instruction", "instruction"]);
  const told = '{"instruction": "And?", "output": "4", "system": "Be exact.", "history": [["Hi", "Hello"]]}';
  expect(records(plain, told)).toMatchObject([
    { kind: "messages", conversation: { messages: [user("Add.\n1 2"), assistant("3")] } },
    {
      kind: "messages",
      conversation: {
        messages: [
          { role: "system", content: "Be exact." },
          ...[user("Hi"), assistant("Hello"), user("And?"), assistant("4")],
        ],
      },
    },
  ]);
});

test.each([
  [{}, [1, 2, 3, 4], [1, 2, 3, 4]],
  [{ labels: [-100, 2, 3, 4], completion_mask: [0, 0, 0, 0] }, [1, 2, 3, 4], [-100, 2, 3, 4]],
  [{ completion_mask: [false, false, true, true] }, [1, 2, 3, 4], [-100, -100, 3, 4]],
  [{ completion_mask: [0, 1, 1, 1], assistant_masks: [1, 0, 1, 1] }, [1, 2, 3, 4], [-100, -100, 3, 4]],
  [{ attention_mask: [1, 1, 1, 1] }, [1, 2, 3, 4], [1, 2, 3, 4]],
  [{ attention_mask: [1, 1, 0, 0] }, [1, 2], [1, 2]],
  [{ attention_mask: [0, 1, 1, 0], completion_mask: [0, 0, 1, 1] }, [2, 3], [-100, 3]],
  [{ attention_mask: [0, 0, 1, 1], labels: [-100, -100, -100, 4] }, [3, 4], [-100, 4]],
])("rows with %j", (columns, ids, labels) => {
  const record = read(JSON.stringify({ input_ids: [1, 2, 3, 4], ...columns }));
  expect(record).toEqual({
    kind: "token rows",
    tokens: { ids: Int32Array.from(ids), labels: Int32Array.from(labels) },
  });
});

const CHAT = '"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"';

test.each([
  [
    '{"prompt": "a", "chosen": "b", "rejected": "c"}',
    /"chosen" and "rejected", pairs for methods such as DPO, .*columns: /,
  ],
  ['{"prompt": "a", "completion": "b", "label": false}', /"label" is not understood, got false; .*KTO/],
  ['{"prompt": "a", "completion": "b", "system": "c"}', /"system" is not understood, got "c"; a prompt is a text/],
  [`{${CHAT}}], "images": ["a.png"]}`, /"images" is not understood, got \["a\.png"\]; only text is trained on/],
  [`{${CHAT}}], "weight": 0.5}`, /"weight" is not understood, got 0\.5; all samples weigh the same/],
  ['{"text": "a", "images": ["a.png"]}', /"images" is not understood, got \["a\.png"\]; only text is trained on/],
  ['{"text": "a", "audio": "a.wav"}', /"audio" is not understood, got "a\.wav"; only text is trained on/],
  ['{"text": "a", "weight": 0.5}', /"weight" is not understood, got 0\.5; all samples weigh the same/],
  ['{"text": "a", "sample_weight": "2"}', /"sample_weight" is not understood, got "2"; all samples weigh the same/],
  [`{${CHAT}, "weight": 0.5}]}`, /message 2: "weight" must be 0 or 1, got 0\.5/],
  [`{${CHAT}, "weight": 0, "train": true}]}`, /message 2: weight and train contradict one another/],
  [`{${CHAT}, "train_detail": []}]}`, /message 2: "train_detail" is not known; write .* input_ids with labels/],
  [
    '{"messages": [{"role": "user", "content": "a", "train": true}]}',
    /message 1: "train" must not be 1 for the role "user"/,
  ],
  [`{${CHAT}}], "tools": "none"}`, /"tools" is a text, but not JSON/],
  [
    `{${CHAT}}], "chat_template_kwargs": {"chat_template": "x"}}`,
    /must hold names of the template, got "chat_template"/,
  ],
  [
    '{"messages": [{"role": "system", "content": "a"}], "system": "b"}',
    /"system" must not differ from the first message/,
  ],
  ['{"conversations": [{"from": "bing", "value": "a"}]}', /"from" must be one of human, user, gpt, .*, got "bing"/],
  ['{"conversations": [{"from": "function_call", "value": "f(1)"}]}', /"value" is a text, but not JSON/],
  ['{"instruction": "a", "output": "b", "history": ["a"]}', /"history" must be a list of pairs of texts/],
  ['{"prompt": [{"role": "user", "content": "a"}], "completion": "b"}', /"completion" is a text, but not JSON/],
  ['{"input_ids": [1, 2], "attention_mask": [1]}', /"attention_mask" must be as long as "input_ids", got 1 for 2 ids/],
  [
    '{"input_ids": [1, 2, 3], "attention_mask": [1, 0, 1]}',
    /0 only before the first 1 and after the last, got 0 at index 1/,
  ],
  [
    '{"input_ids": [1, 2, 3], "labels": [1, 2, 3], "attention_mask": [1, 1, 0]}',
    /"labels" must be -100 where .*, got 3 at index 2/,
  ],
  ['{"input_ids": [1, 2, 3], "attention_mask": [0, 0, 0]}', /at least 2 ids, one to predict the other, got 0/],
  ['{"input_ids": [1, 2], "completion_mask": [1, 2]}', /"completion_mask" must hold 0 or 1, got 2 at index 1/],
  [
    '{"input_ids": [1, 2], "position_ids": [0, 0]}',
    /"position_ids" is not understood, got \[0,0\]; positions count from 0/,
  ],
  ['{"input_ids": [1, 2], "seq_lengths": [1, 1]}', /"seq_lengths" is not understood/],
  ['{"input_ids": [1, 2], "loss_mask": [0, 1]}', /"loss_mask" is not understood, .*completion_mask/],
])("%s is refused", (json, message) => {
  expect(() => read(json)).toThrow(DataError);
  expect(() => read(json)).toThrow(message);
});

test("keys that nothing reads are noted", () => {
  const reader = new RecordReader();
  reader.read({ text: "a", id: 1, url: null }, "a.jsonl");
  reader.read({ text: "b", source: "web" }, "a.jsonl");
  expect([...reader.unused].sort()).toEqual(["id", "source"]);
});

test("a run begun before goes on with texts of any weight", () => {
  const reader = new RecordReader(2);
  expect(reader.read({ text: "a", weight: 0.5 }, "a.jsonl")).toEqual({ kind: "text", text: "a" });
  expect([...reader.unused]).toEqual(["weight"]);
});

test("kinds in several files are blamed on both", () => {
  const reader = new RecordReader();
  reader.read({ text: "a" }, "notes.jsonl");
  expect(() => reader.read({ prompt: "a", completion: "b" }, "b.jsonl")).toThrow(
    /must have a string "text"; .*this record is prompt-completion, those in notes\.jsonl are text/,
  );
});

test("the rules of version 1 know no weights, masks, contexts or large numbers", () => {
  const chat = `{${CHAT}, "weight": 0, "n": 9007199254740993, "x": 20.0}], "system": "s"}`;
  const message = { ...assistant("b"), weight: 0, n: 9007199254740992, x: 20 };
  expect(read(chat, 1)).toEqual({ kind: "messages", conversation: { messages: [user("a"), message] } });
  expect(read('{"input_ids": [1, 2, 3], "attention_mask": [1, 1, 0], "completion_mask": [0, 0, 1]}', 1)).toEqual({
    kind: "token rows",
    tokens: { ids: Int32Array.of(1, 2, 3), labels: Int32Array.of(1, 2, 3) },
  });
  const task = read('{"instruction": "a", "output": "b", "system": "s", "history": [["c", "d"]]}', 1);
  expect(hasContext({ place: { path: "a", unit: "line", number: 1 }, ...task })).toBe(false);
});

test("keys of messages that elsewhere say what is scored are named as unused, once", () => {
  const reader = new RecordReader();
  for (const key of ["mask", "loss_weight", "weight", "mask"]) {
    const messages = [
      { role: "user", content: "a", [key]: null },
      { role: "assistant", content: "b", [key]: 1 },
    ];
    reader.read({ messages }, "a.jsonl");
  }
  expect([...reader.unused]).toEqual(["mask of messages", "loss_weight of messages"]);
});
