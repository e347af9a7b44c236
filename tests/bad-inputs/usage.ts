import type { Area } from "./bad-input.js";

export const usage: Area = {
  title: "Commands and flags",
  rows: [
    {
      name: "an unknown verb",
      args: ["trian"],
      says: ["unknown command 'trian'", 'did you mean "train"?', "highrank --help"],
      code: 2,
    },
    {
      name: "a verb by another trainer's word",
      args: ["finetune"],
      says: ["unknown command 'finetune'", 'did you mean "train"?'],
      code: 2,
    },
    {
      name: "a verb that is near none",
      args: ["frobnicate"],
      says: ["unknown command 'frobnicate'; there are train, resume, watch, compare, eval, generate"],
      code: 2,
    },
    {
      name: "an unknown verb below a verb",
      args: ["tokenizer", "trian"],
      says: ["unknown command 'trian'", 'did you mean "train"?', "highrank tokenizer --help"],
      code: 2,
    },
    { name: "no verb", args: [], says: ["Usage: highrank"], code: 2 },
    {
      name: "an unknown flag",
      args: ["train", "--rnak", "8"],
      says: ["unknown option '--rnak'", "did you mean --rank?", "highrank train --help"],
      code: 2,
    },
    {
      name: "an unknown flag of a verb without settings",
      args: ["eval", "model", "--dta", "x.txt"],
      says: ["unknown option '--dta'", "did you mean --data?", "highrank eval --help"],
      code: 2,
    },
    {
      name: "another trainer's flag that does not translate one to one",
      args: ["train", "--gradient-accumulation-steps", "4"],
      says: ["--gradient-accumulation-steps", "multiplies --batch-size; give that beside it"],
      code: 2,
    },
    { name: "a missing argument", args: ["generate"], says: ["missing required argument 'TARGET'"], code: 2 },
    { name: "too many arguments", args: ["doctor", "run", "now"], says: ["too many arguments"], code: 2 },
    { name: "a flag without its value", args: ["train", "--rank"], says: ["argument missing", "--rank"], code: 2 },
    { name: "eval without data", args: ["eval", "model"], says: ["--data is missing"], code: 2 },
  ],
};
