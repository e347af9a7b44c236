import { TEXT } from "../small-model.js";
import { type Area, train } from "./bad-input.js";

const SOUND =
  "seeds: [0]\nsettings: {model: tiny, data: a.txt, maxSteps: 8}\narms: {full: {method: full}, lora: {method: lora}}\n";

export const studies: Area = {
  title: "Studies",
  rows: [
    {
      name: "compare: a study with several faults, all reported at once",
      args: ["compare", "study.yaml"],
      files: {
        "study.yaml":
          "seeds: [0, 0]\nsettings: {maxSteps: 8, warmStartSteps: 8, out: x}\nruns: 3\n" +
          "arms:\n  full: {method: full}\n  lora: {method: lora, lr: fast}\n  relora: {rnak: 8}\n",
      },
      says: [
        'study.yaml: unknown key "runs"',
        "study.yaml: seeds: must be different from each other",
        "study.yaml: settings: out: the study sets it; leave it out",
        "study.yaml: arms lora, relora: warmStartSteps: must be below the 8 steps",
        'study.yaml: arms.lora: lr: must be a number above 0, got "fast"',
        'study.yaml: arms.relora: unknown setting "rnak"; did you mean "rank"?',
      ],
      code: 2,
    },
    {
      name: "compare: reference arms that are not there",
      args: ["compare", "study.yaml"],
      files: { "study.yaml": "seeds: [0]\narms: {a: {}, b: {}}\nreference: {low: a, high: full}\n" },
      says: ['study.yaml: reference: high must be one of the arms a, b, got "full"'],
      code: 2,
    },
    {
      name: "compare: arms that read other data",
      args: ["compare", "study.yaml"],
      files: { "study.yaml": SOUND.replace("{method: full}", "{method: full, data: b.txt}") },
      says: ["arm lora: data is a.txt, but b.txt in arm full; held-out losses can be compared only if it is the same"],
      code: 2,
    },
    {
      name: "compare: one run, and a folder that is none",
      args: ["compare", "old", "photos"],
      files: { "old/config.resolved.json": "{}", "photos/1.jpg": "" },
      says: ["photos holds no run", "name the folder that train or compare wrote"],
      code: 3,
    },
    {
      name: "train: sweeps that cannot be",
      args: train("--sweep", "rnak=4,8", "--sweep", "lr=1e-4", "--sweep", "sequence-length=16,32", "--sweep", "4,8"),
      files: { "a.txt": TEXT },
      says: [
        "--sweep rnak: is no setting; did you mean rank?",
        "--sweep lr: must have two or more different values",
        "--sweep sequence-length: decides what the held-out loss is measured on",
        "--sweep: must be a setting and its values, such as lr=1e-4,2e-4,5e-4, got 4,8",
      ],
      code: 2,
    },
    {
      name: "train: a value of a sweep that cannot be",
      args: train("--sweep", "weight-decay=0,many"),
      files: { "a.txt": TEXT },
      says: ['--weight-decay: must be a number of at least 0, got "many"'],
      code: 2,
    },
    {
      name: "compare: a folder that is no study's",
      args: ["compare", "study.yaml", "--out", "mine"],
      files: { "study.yaml": SOUND, "a.txt": TEXT, "mine/poem.txt": "Roses" },
      says: ["--out: mine holds poem.txt, which is no part of a study; name another folder"],
      code: 2,
    },
    {
      name: "compare: a run made with other settings",
      args: ["compare", "study.yaml", "--out", "old"],
      alike: [["compare", "study.yaml", "--out", "old", "--dry-run"]],
      files: {
        "study.yaml": SOUND,
        "a.txt": TEXT,
        "old/runs/full/seed-0/config.resolved.json":
          '{"model": "tiny", "data": "a.txt", "maxSteps": 9, "method": "full"}',
      },
      says: [
        "old/runs/full/seed-0 was made with other settings: ",
        "maxSteps was 9, is 8",
        "give the changed study another --out",
      ],
      code: 2,
    },
  ],
};
