import { branchRun, warmStartKey } from "../runs/branch.js";
import { listCheckpoints } from "../runs/checkpoint.js";
import { lookAtRun, type RunStatus } from "./study-run.js";

/** Trains a run to the step, or as far as it gets. */
export type TrainUntil = (status: RunStatus, untilStep: number) => Promise<void>;

/** Warm starts that several runs of a study have in common: trained by the first of them, taken over by the others. */
export class WarmStarts {
  /** New runs, by their warm start. */
  readonly #groups: Map<string, RunStatus[]> = new Map();
  /** Warm starts done or under way, by the run that trains them. */
  readonly #shared: Map<string, Promise<void>> = new Map();

  constructor(left: readonly RunStatus[]) {
    for (const status of left) {
      const key = warmStartKey(status.run.settings);
      if (key === null || status.phase !== "new") continue;
      this.#groups.set(key, [...(this.#groups.get(key) ?? []), status]);
    }
  }

  /** The status of the run once its warm start is there; unchanged where no other run has the same one. */
  async share(status: RunStatus, train: TrainUntil): Promise<RunStatus> {
    const key = warmStartKey(status.run.settings);
    const group = (key !== null && this.#groups.get(key)) || [];
    if (key === null || group.length < 2 || !group.includes(status)) return status;
    if (!this.#shared.has(key)) this.#shared.set(key, trainOnce(status, group, train));
    await this.#shared.get(key);
    return lookAtRun(status.run);
  }
}

async function trainOnce(first: RunStatus, group: readonly RunStatus[], train: TrainUntil): Promise<void> {
  const { folder, settings } = first.run;
  const { warmStartSteps } = settings;
  await train(first, warmStartSteps);
  // It stopped or diverged, so the others train their own.
  if (!(await listCheckpoints(folder)).includes(warmStartSteps)) return;
  for (const { run } of group) if (run !== first.run) await branchRun(folder, settings, run.settings);
}
