import { expect, test } from "vitest";
import type { MetricsRecord } from "../runs/metrics.js";
import { completeStudy, parseStudy } from "../studies/study-config.js";
import { planStudy } from "../studies/study-plan.js";
import { type RunStatus, studyRuns } from "../studies/study-run.js";
import { Outlet } from "./outlet.js";
import { planLines, StudyView } from "./study-view.js";

const STUDY = completeStudy(
  parseStudy(
    "seeds: [0]\nsettings: {maxSteps: 10, batchSize: 2, sequenceLength: 50}\narms: {full: {method: full}, lora: {method: lora}, x: {}}",
    "s.yaml",
    "s",
  ),
);

const statuses = studyRuns(STUDY, "out", 1).map((run, i): RunStatus => {
  return { run, phase: i === 0 ? "begun" : "new", step: i === 0 ? 4 : 0, records: [] };
});

test("the plan is the matrix, with what is done of it", () => {
  expect(planLines(planStudy(statuses))).toEqual([
    "arm   seed  steps  tokens  state  steps done",
    "full     0     10   1.00K  begun           4",
    "lora     0     10   1.00K  to do",
    "x        0     10   1.00K  to do",
    "",
    "3 runs, 3.00K tokens: 2 to do, 1 begun; 86.7% of the tokens are left",
  ]);
});

test("a study is told run by run, with the time that its tokens would take at the pace so far", () => {
  const texts: string[] = [];
  let now = 0;
  const view = new StudyView(new Outlet({ write: (text) => void texts.push(text) }), {}, () => now);
  view.begin("A title\u001b[2J", "out", statuses);
  const [full, lora, last] = statuses.map(({ run }) => run);
  const records = [
    { kind: "eval", step: 10, loss: 1 },
    { kind: "end", step: 10, outcome: "done", modelStep: 10, seconds: 7 },
  ] as MetricsRecord[];
  view.run(full!, 4);
  // Another run is under way, and beyond a warm start that it took over.
  view.run(lora!, 2);
  view.record(lora!, { kind: "step", step: 3 } as MetricsRecord);
  now = 7000;
  view.end({ run: full!, phase: "done", step: 10, records });
  view.end({ run: lora!, phase: "diverged", step: 3, records: [] });
  view.run(last!, 0);
  view.end({ run: last!, phase: "begun", step: 2, records: [] });
  expect(texts.join("").split("\n")).toEqual([
    "study   A title·[2J",
    "plan    3 runs, 3.00K tokens: 2 to do, 1 begun; 86.7% of the tokens are left",
    "folder  out",
    "",
    "run     1/3  full, seed 0, continuing after step 4",
    "run     2/3  lora, seed 0, continuing after step 2",
    // Seven steps in seven seconds, and 17 to go.
    "done    full, seed 0  loss 1.0000  perplexity 2.718  in 7s, about 17s left",
    "fail    lora, seed 0  diverged at step 3",
    "run     3/3  x, seed 0",
    "stop    x, seed 0  saved after step 2",
    "",
  ]);
});
