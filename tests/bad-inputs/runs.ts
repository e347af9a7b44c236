import { writeFile } from "node:fs/promises";
import path from "node:path";
import { resolveSettings } from "../../src/config/resolve.js";
import { train as runTraining } from "../../src/training/train.js";
import { TEXT, writeSmallModel } from "../small-model.js";
import { type Area, train } from "./bad-input.js";

/** Writes a.txt and `run`, which was stopped after two of its four steps. */
async function stoppedRun(cwd: string): Promise<void> {
  const data = path.join(cwd, "a.txt");
  await writeFile(data, TEXT);
  const sizes = { model: "tiny", vocabSize: 280, sequenceLength: 16, batchSize: 2, rank: 4, maxSteps: 4 };
  const settings = resolveSettings({ flags: { ...sizes, data, out: path.join(cwd, "run"), sampleTokens: 0 } });
  let step = 0;
  await runTraining(settings, {
    onRecord: (record) => {
      if (record.kind === "step") step = record.step;
    },
    stopRequested: () => step === 2,
  });
}

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
      name: "train: a folder to write to that holds a run",
      args: train("--out", "run"),
      files: { "a.txt": TEXT, "run/config.resolved.json": "{}" },
      says: ["out: run holds a run already", "--overwrite"],
      code: 2,
    },
    {
      name: "train: a file where the folder to write to must be",
      args: train("--out", "a.txt"),
      files: { "a.txt": TEXT },
      says: ["out: a.txt is a file; name a folder"],
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
      name: "resume: a folder that holds no run",
      args: ["resume", "photos"],
      files: { "photos/1.jpg": "" },
      says: ["photos holds no run", "name the folder that train wrote"],
      code: 3,
    },
    {
      name: "resume: a setting that made the model",
      args: ["resume", "run", "--rank", "8"],
      prepare: stoppedRun,
      says: ["--rank: stays as the run was started", "what may change", "--lr"],
      code: 2,
    },
    {
      name: "resume: no more steps than are done",
      args: ["resume", "run", "--max-steps", "2"],
      prepare: stoppedRun,
      says: ["--max-steps: 2 steps are done already", "planned for 4", "highrank merge run --out DIR"],
      code: 2,
    },
    {
      name: "resume: a checkpoint that the run does not have",
      args: ["resume", "run", "--checkpoint", "7"],
      prepare: stoppedRun,
      says: ["checkpoint-000007 does not exist", "the run also has checkpoint-000002"],
      code: 3,
    },
    {
      name: "resume: a checkpoint that is none",
      args: ["resume", "run", "--checkpoint", "newest"],
      says: ['--checkpoint: must be last, best, or the step of a checkpoint such as 100, got "newest"'],
      code: 2,
    },
    {
      name: "a checkpoint of what is no run",
      args: ["merge", "float", "--checkpoint", "best", "--out", "merged"],
      alike: [["export", "float", "--checkpoint", "best", "--to", "onnx", "--out", "onnx"]],
      prepare: (cwd) => writeSmallModel(path.join(cwd, "float"), { numLayers: 1 }),
      says: ["--checkpoint is for runs; float is not one"],
      code: 2,
    },
    {
      name: "resume: other data than the run was trained on",
      args: ["resume", "run", "--data", "b.txt"],
      files: { "b.txt": TEXT.replaceAll("cat", "dog") },
      prepare: stoppedRun,
      says: ["b.txt: its tokens are not those that run was trained on", "bring back the data"],
      code: 3,
    },
    {
      name: "resume: other data held out than the run holds out",
      args: ["resume", "run", "--valid-data", "b.txt"],
      files: { "b.txt": TEXT.replaceAll("cat", "dog") },
      prepare: stoppedRun,
      says: ["b.txt: its tokens are not those that run holds out", "leave --valid-data out"],
      code: 3,
    },
    {
      name: "damaged metrics of a run",
      args: ["inspect", "run"],
      files: {
        "run/metrics.jsonl": '{"kind":"skip","step":1,"reason":"","inARow":1,"skipped":1}\nbroken\n{"kind":"skip"\n',
      },
      says: ["run/metrics.jsonl", "line 2: not JSON", "line 3: not JSON"],
      code: 3,
    },
  ],
};
