import { TEXT } from "../small-model.js";
import { type Area, type BadInput, train } from "./bad-input.js";

/** Every verb that reads training text, with this one. */
function readBy(source: string): Pick<BadInput, "args" | "alike"> {
  const train = ["train", "--model", "tiny", "--data", source];
  return { args: ["data", source], alike: [train, ["tokenizer", "train", "--out", "model", source]] };
}

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
      name: "a data file of unknown kind",
      ...readBy("table.csv"),
      files: { "table.csv": "a,b" },
      says: ["table.csv: the name must end in .txt, .md, .jsonl, .parquet"],
      code: 3,
    },
    {
      name: "an empty folder",
      ...readBy("."),
      says: [".: the folder has no file whose name ends in .txt, .md, .jsonl, .parquet"],
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
      name: "data: a tokenizer file that is none",
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
