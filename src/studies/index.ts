export { type CompareOptions, compare, type StudyDescription } from "./compare.js";
export { type ComparedRun, compareRuns, type RunComparison } from "./compare-runs.js";
export { type StudyHandle, type StudyOptions, type StudyResult, startStudy } from "./run-study.js";
export type { Arm, Reference, Study } from "./study.js";
export { parseStudy } from "./study-config.js";
export type { RunPhase, RunStatus, StudyRun } from "./study-run.js";
export type { ArmSummary, RunSummary, StudySummary } from "./summary.js";
export { parseSweeps, type Sweep, sweepStudy, type Variant } from "./sweep.js";
