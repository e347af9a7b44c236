import { TEXT } from "../small-model.js";
import { type Area, train } from "./bad-input.js";

export const runs: Area = {
  title: "Runs",
  rows: [
    {
      name: "train: a folder to write to that holds something else",
      args: train("--out", "photos"),
      files: { "a.txt": TEXT, "photos/1.jpg": "" },
      says: ["photos is not empty", "name another folder"],
      code: 2,
    },
    {
      name: "train: a disk that is full",
      args: train("--out", "run"),
      files: { "a.txt": TEXT },
      limits: { maxFileKilobytes: 200 },
      prints: "run     run",
      leavesFiles: true,
      says: ["cannot write run/", "; choose another folder"],
      code: 3,
    },
    {
      name: "train: numbers that diverge",
      args: train("--lr", "1e30", "--clip-grad-norm", "none", "--max-bad-steps", "1", "--max-steps", "60"),
      files: { "a.txt": TEXT },
      prints: "changed nothing: the loss is NaN",
      leavesFiles: true,
      says: ["training diverged at step", "lower lr"],
      code: 4,
    },
    {
      name: "damaged metrics of a run",
      args: ["inspect", "run"],
      files: { "run/metrics.jsonl": '{"kind":"skip","step":1,"reason":""}\nbroken\n{"kind":"skip"\n' },
      says: ["run/metrics.jsonl", "line 2: broken", 'line 3: {"kind":"skip"'],
      code: 3,
    },
  ],
};
