import type { PhaseName } from "../../relora/plan.js";
import type {
  EndRecord,
  EvalRecord,
  MergeRecord,
  MetricsRecord,
  QuantizeRecord,
  StartRecord,
  StepRecord,
} from "../metrics.js";
import type { EvalPoint, Mark } from "./page-data.js";
import { StepSeries } from "./step-series.js";
import { ThinnedList } from "./thinned-list.js";

/** Items at most that a page has of a run. */
const MAX_EVALS = 1024;
const MAX_SAMPLES = 24;
const MAX_MERGES = 256;

const PHASE_LABELS: Readonly<Record<PhaseName, string>> = {
  full: "full",
  "warm-start": "warm start",
  adapter: "adapters",
};

/** What a page shows of a run's records, taken in one by one. Its size is bounded however long the run. */
export class RunCourse {
  /** The last of several, if the run was resumed. */
  start: StartRecord | undefined;
  end: EndRecord | undefined;
  quantize: QuantizeRecord | undefined;
  lastStep: StepRecord | undefined;
  readonly steps: StepSeries = new StepSeries();
  readonly evals: ThinnedList<EvalPoint> = new ThinnedList(MAX_EVALS);
  firstEval: EvalRecord | undefined;
  lastEval: EvalRecord | undefined;
  /** The last one of the warm start; undefined without such a phase. */
  warmEval: EvalRecord | undefined;
  lowestEval: EvalRecord | undefined;
  /** Evaluations whose texts are shown. */
  readonly samples: ThinnedList<EvalRecord> = new ThinnedList(MAX_SAMPLES);
  readonly merges: ThinnedList<MergeRecord> = new ThinnedList(MAX_MERGES);
  /** Updates that were left out. */
  skips = 0;
  readonly #phases: Mark[] = [];

  constructor(records: Iterable<MetricsRecord> = []) {
    for (const record of records) this.take(record);
  }

  take(record: MetricsRecord): void {
    switch (record.kind) {
      case "start":
        this.start = record;
        this.end = undefined;
        break;
      case "step":
        this.#takeStep(record);
        break;
      case "eval":
        this.#takeEval(record);
        break;
      case "quantize":
        this.quantize ??= record;
        break;
      case "merge":
        this.merges.add(record);
        break;
      case "skip":
        this.skips++;
        break;
      case "end":
        this.end = record;
        break;
    }
  }

  /** Merges, and begins of phases, in order. */
  get marks(): readonly Mark[] {
    const merges = this.merges.items.map(({ step }) => ({ step, label: "" }));
    return [...this.#phases, ...merges].sort((a, b) => a.step - b.step);
  }

  #takeStep(record: StepRecord): void {
    const { phase, step } = record;
    if (this.lastStep !== undefined && this.lastStep.phase !== phase) {
      this.#phases.push({ step, label: PHASE_LABELS[phase] });
    }
    this.lastStep = record;
    this.steps.add(record);
  }

  #takeEval(record: EvalRecord): void {
    const { step, loss } = record;
    this.evals.add({ step, loss: Number.isFinite(loss) ? loss : null });
    this.firstEval ??= record;
    this.lastEval = record;
    if (this.lastStep?.phase === "warm-start") this.warmEval = record;
    if (loss < (this.lowestEval?.loss ?? Number.POSITIVE_INFINITY)) this.lowestEval = record;
    if (record.sample !== "" || (record.samples ?? []).length > 0) this.samples.add(record);
  }
}
