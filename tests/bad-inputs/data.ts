import { TEXT } from "../small-model.js";
import { type Area, type BadInput, train } from "./bad-input.js";

/** Every verb that reads training text, with this one. */
function readBy(source: string, ...more: string[]): Pick<BadInput, "args" | "alike"> {
  const train = ["train", "--model", "tiny", "--data", source, ...more];
  return { args: ["data", source, ...more], alike: [train, ["tokenizer", "train", "--out", "model", source, ...more]] };
}

const CHAT = `${JSON.stringify({
  messages: [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Yes" },
  ],
})}\n`;

export const data: Area = {
  title: "Training text and tokenizers",
  rows: [
    {
      name: "a data file that does not exist",
      ...readBy("nowhere.txt"),
      says: ["nowhere.txt: there is no such file or folder", "builtin:wordnet"],
      code: 3,
    },
    {
      name: "an empty data file",
      ...readBy("empty.txt"),
      files: { "empty.txt": "" },
      says: ["empty.txt: no text in it"],
      code: 3,
    },
    {
      name: "a data file that is not text",
      ...readBy("picture.txt"),
      files: { "picture.txt": Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0xff, 0xd8) },
      says: ["picture.txt is not UTF-8 text"],
      code: 3,
    },
    {
      name: "faulty lines in a JSON lines file, all reported at once",
      ...readBy("bad.jsonl"),
      files: { "bad.jsonl": '{"text": "a"}\n{"txt": "b"}\nbroken\n' },
      says: ['bad.jsonl, line 2: must have a string "text"; the keys found are "txt"', "bad.jsonl, line 3: not JSON"],
      code: 3,
    },
    {
      name: "data: labels that do not fit their tokens",
      args: ["data", "rows.jsonl"],
      files: { "rows.jsonl": '{"input_ids": [1, 2, 3], "labels": [1, 2]}\n' },
      says: ['rows.jsonl, line 1: "labels" must be as long as "input_ids", got 2 labels for 3 ids'],
      code: 3,
    },
    {
      name: "a JSON lines file of an unknown kind",
      ...readBy("other.jsonl"),
      files: { "other.jsonl": '{"Question": "a", "Answer": "b"}\n' },
      says: [
        'other.jsonl, line 1: must have "input_ids"; or "messages"',
        'the keys found are "Question", "Answer"; say which is which: --columns prompt=Question,completion=Answer',
      ],
      code: 3,
    },
    {
      name: "a column that is not there",
      ...readBy("faq.csv", "--columns", "prompt=frage,completion=anwort"),
      files: { "faq.csv": "frage,antwort\na,b\n" },
      says: [
        'faq.csv, line 2: must have "anwort", named by --columns; the keys found are "frage", "antwort"; ' +
          'did you mean "antwort"?',
      ],
      code: 3,
    },
    {
      name: "a role of columns that there is not",
      ...readBy("faq.csv", "--columns", "promt=frage"),
      files: { "faq.csv": "frage,antwort\na,b\n" },
      says: ['--columns: "promt" is no role of a column; there are', 'did you mean "prompt"?'],
      code: 2,
    },
    {
      name: "a table with ragged rows",
      ...readBy("faq.csv"),
      files: { "faq.csv": "question,answer\na,b\nc\nd,e,f\n" },
      says: ["faq.csv, line 3: must have 2 values, as the first line, got 1", "faq.csv, line 4: must have 2 values"],
      code: 3,
    },
    {
      name: "a table with semicolons",
      ...readBy("faq.csv"),
      files: { "faq.csv": "question;answer\na;b\n" },
      says: ["faq.csv, line 1: the first line must name the columns, with commas between them, but has semicolons"],
      code: 3,
    },
    {
      name: "a chat template that there is not",
      args: ["data", "chat.jsonl", "--chat-template", "chatlm"],
      files: { "chat.jsonl": CHAT },
      says: ["--chat-template: there is no file chatlm, and the built-in ones chatml, llama3"],
      code: 3,
    },
    {
      name: "kinds mixed in a file",
      ...readBy("mixed.jsonl"),
      files: { "mixed.jsonl": '{"prompt": "a", "completion": "b"}\n{"text": "c"}\n' },
      says: ['mixed.jsonl, line 2: must have "prompt" and "completion"', "one source has one kind"],
      code: 3,
    },
    {
      name: "messages without a chat template",
      args: ["data", "chat.jsonl"],
      alike: [["train", "--model", "tiny", "--data", "chat.jsonl"]],
      files: { "chat.jsonl": CHAT + CHAT.replace("Hi", "Ho") },
      says: ["chat.jsonl: has messages", "no chat template", "--chat-template, a file or one of chatml, llama3"],
      code: 3,
    },
    {
      name: "a chat template that refuses a role",
      args: ["data", "chat.jsonl", "--chat-template", "t.jinja"],
      files: { "chat.jsonl": CHAT, "t.jinja": "{{ raise_exception('Only tools may speak') }}" },
      says: ["chat.jsonl, line 1: the chat template says: Only tools may speak"],
      code: 3,
    },
    {
      name: "an invalid chat template",
      args: ["data", "chat.jsonl", "--chat-template", "t.jinja"],
      files: { "chat.jsonl": CHAT, "t.jinja": "{% for %}" },
      says: ["chat.jsonl, line 1: the chat template is not valid Jinja"],
      code: 3,
    },
    {
      name: "a chat template that does not show what the assistant wrote",
      args: ["data", "chat.jsonl", "--chat-template", "t.jinja"],
      files: { "chat.jsonl": CHAT, "t.jinja": "{{ messages|length }}{{ messages[0].content }}" },
      says: ["the chat template does not show what the assistant wrote", "{% generation %}", "--train-on-inputs"],
      code: 3,
    },
    {
      name: "a chat template that fills the memory",
      args: ["data", "chat.jsonl", "--chat-template", "t.jinja"],
      files: {
        "chat.jsonl": CHAT,
        "t.jinja": "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
      },
      says: ["the chat template was stopped at conversation 1: it took more than 256 MiB of memory", "--chat-template"],
      code: 3,
    },
    {
      name: "a chat with an image",
      args: ["data", "chat.jsonl", "--chat-template", "t.jinja"],
      files: {
        "chat.jsonl":
          '{"messages": [{"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": "a"}]}\n',
        "t.jinja": "{% for m in messages %}{{ m.content }}{% endfor %}",
      },
      says: ['chat.jsonl, line 1: message 1: has a part of type "image"', "leave such records out"],
      code: 3,
    },
    {
      name: "a chat template that makes an enormous text",
      args: ["data", "chat.jsonl", "--chat-template", "t.jinja"],
      files: { "chat.jsonl": CHAT, "t.jinja": "{% for i in range(20000) %}{{ 'x' * 1000 }}{% endfor %}" },
      says: ["chat.jsonl, line 1: the chat template makes 20000000 characters", "the most is 16777216"],
      code: 3,
    },
    {
      name: "a day that is none",
      args: ["train", "--chat-date", "31.3.2026"],
      says: ["--chat-date: must be a day such as 2026-03-31, got 31.3.2026"],
      code: 2,
    },
    {
      name: "a sample without scored tokens",
      args: ["data", "rows.jsonl"],
      files: { "rows.jsonl": '{"input_ids": [1, 2]}\n{"input_ids": [1, 2], "labels": [1, -100]}\n' },
      says: ["rows.jsonl, line 2: no token is scored"],
      code: 3,
    },
    {
      name: "a sample whose scored tokens do not fit",
      args: ["data", "pairs.jsonl", "--sequence-length", "4"],
      files: { "pairs.jsonl": '{"prompt": "0123456789", "completion": "a"}\n' },
      says: ["pairs.jsonl, line 1: no token is scored: only the first 5 of its", "--sequence-length"],
      code: 3,
    },
    {
      name: "train: a single sample",
      args: ["train", "--model", "tiny", "--data", "pairs.jsonl"],
      files: { "pairs.jsonl": '{"prompt": "0", "completion": "a"}\n' },
      says: ["pairs.jsonl: there is 1 sample, and none can be held out"],
      code: 3,
    },
    {
      name: "pairs of a better and a worse answer",
      ...readBy("dpo.jsonl"),
      files: { "dpo.jsonl": '{"prompt": "a", "chosen": "b", "rejected": "c"}\n' },
      says: ['dpo.jsonl, line 1: has "chosen" and "rejected"', "--columns prompt=prompt,completion=chosen"],
      code: 3,
    },
    {
      name: "a column that would change what is trained on",
      ...readBy("kto.jsonl"),
      files: { "kto.jsonl": '{"prompt": "a", "completion": "b", "label": true}\n' },
      says: ['kto.jsonl, line 1: "label" is not understood, got true', "leave the column out"],
      code: 3,
    },
    {
      name: "a weight of a message between 0 and 1",
      args: ["data", "chat.jsonl"],
      files: { "chat.jsonl": CHAT.replace('"Yes"', '"Yes","weight":0.5') },
      says: ['chat.jsonl, line 1: message 2: "weight" must be 0 or 1, got 0.5'],
      code: 3,
    },
    {
      name: "padding within a row of tokens",
      args: ["data", "rows.jsonl"],
      files: { "rows.jsonl": '{"input_ids": [1, 2, 3], "attention_mask": [1, 0, 1]}\n' },
      says: ['rows.jsonl, line 1: "attention_mask" must be 0 only before the first 1', "split the row there"],
      code: 3,
    },
    {
      name: "a JSON file that is no list of records",
      ...readBy("a.json"),
      files: { "a.json": '[{"text": "a"},]\n' },
      says: ["a.json: not JSON", "one list of objects, or one object per line"],
      code: 3,
    },
    {
      name: "a file whose name puts it on both sides of the split",
      ...readBy("set"),
      files: { "set/train_dev.txt": "a", "set/train.txt": "b" },
      says: ["set: train_dev.txt is named for training and for validation"],
      code: 3,
    },
    {
      name: "shards of other splits only",
      ...readBy("set"),
      files: { "set/data/train_sft-00000-of-00001.jsonl": '{"text": "a"}\n' },
      says: ["set: it holds the splits train_sft, but none named train"],
      code: 3,
    },
    {
      name: "a dataset card of several data sets",
      ...readBy("set"),
      files: {
        "set/README.md": "---\nconfigs:\n- config_name: en\n  data_dir: en\n- config_name: fr\n  data_dir: fr\n---\n",
        "set/en/a.jsonl": '{"text": "a"}\n',
      },
      says: ["set: README.md describes the data sets en, fr, and none is the default"],
      code: 3,
    },
    {
      name: "train: samples that are all the same",
      args: ["train", "--model", "tiny", "--data", "same.jsonl"],
      files: { "same.jsonl": '{"prompt": "0", "completion": "a"}\n'.repeat(3) },
      says: ["same.jsonl: all 3 samples are the same, and none can be held out"],
      code: 3,
    },
    {
      name: "a file that is not Parquet",
      ...readBy("a.parquet"),
      files: { "a.parquet": "a,b\n1,2\n" },
      says: ["a.parquet: it is not a Parquet file that can be read here"],
      code: 3,
    },
    {
      name: "a data file of unknown kind",
      ...readBy("table.xlsx"),
      files: { "table.xlsx": "a,b" },
      says: ["table.xlsx: the name must end in .txt, .md, .jsonl, .json, .csv, .tsv, .parquet"],
      code: 3,
    },
    {
      name: "a folder without data",
      ...readBy("photos"),
      files: { "photos/1.jpg": "" },
      says: ["photos: it has no file whose name ends in .txt, .md, .jsonl, .json, .csv, .tsv, .parquet"],
      code: 3,
    },
    {
      name: "an unknown built-in text",
      ...readBy("builtin:wordnett"),
      says: ["builtin:wordnett: there is no such built-in text", "builtin:wordnet"],
      code: 3,
    },
    {
      name: "train: a sequence longer than the data",
      args: train("--sequence-length", "5000"),
      files: { "a.txt": TEXT },
      says: ["rows of 5000 tokens", "--sequence-length"],
      code: 3,
    },
    {
      name: "a tokenizer without a folder to write to",
      args: ["tokenizer", "train", "a.txt"],
      says: ["--out"],
      code: 2,
    },
    {
      name: "a tokenizer where one exists already",
      args: ["tokenizer", "train", "a.txt", "--out", "model"],
      files: { "a.txt": "some text", "model/tokenizer.json": "{}" },
      says: ["model/tokenizer.json exists already", "--overwrite"],
      code: 2,
    },
    {
      name: "data: a tokenizer that does not exist",
      args: ["data", "a.txt", "--tokenizer", "nowhere"],
      files: { "a.txt": "some text" },
      says: ["nowhere: there is no such file", "highrank tokenizer train"],
      code: 3,
    },
    {
      name: "data: a file that is not a tokenizer",
      args: ["data", "a.txt", "--tokenizer", "tokenizer"],
      files: { "a.txt": "some text", "tokenizer/tokenizer.json": "{}" },
      says: ["tokenizer/tokenizer.json", "cannot build a tokenizer from its content"],
      code: 3,
    },
    {
      name: "a vocabulary without room for the bytes",
      args: ["tokenizer", "train", "a.txt", "--out", "model", "--vocab-size", "100"],
      files: { "a.txt": "some text" },
      says: ["--vocab-size: must be an integer of at least 257", 'got "100"'],
      code: 2,
    },
  ],
};
