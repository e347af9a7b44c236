import { forCommandLine } from "../base/naming.js";
import { formatCount, formatDuration, formatNumber, formatShare } from "../base/numbers.js";
import type { MetricsRecord } from "../runs/metrics.js";
import { conclusion } from "../studies/conclusion.js";
import { planStudy, type StudyPlan } from "../studies/study-plan.js";
import type { RunPhase, RunStatus, StudyRun } from "../studies/study-run.js";
import { finishedLoss, type StudySummary } from "../studies/summary.js";
import { resultTable } from "../studies/tables.js";
import { stepLine } from "./live-lines.js";
import type { Outlet } from "./outlet.js";
import { PLAIN_INTERVAL_MS } from "./progress-line.js";
import { tableLines } from "./table.js";
import {
  type Environment,
  ERASE_LINE,
  fillLines,
  isInteractive,
  type Style,
  singleLine,
  styleFor,
} from "./terminal.js";

const REDRAW_MS = 100;

/**
 * Shows a study as it goes: a line when a run begins and when it ends. In between, an interactive
 * terminal redraws its last line with the newest step of any run; elsewhere such a line is printed every ten seconds.
 */
export class StudyView {
  readonly #outlet: Outlet;
  readonly #interactive: boolean;
  readonly #style: Style;
  readonly #now: () => number;
  /** The last known step of each run that is not done yet. */
  readonly #open = new Map<StudyRun, number>();
  readonly #begun = new Set<StudyRun>();
  #runs = 0;
  #ended = 0;
  /** Tokens since `#startedAt`. */
  #trained = 0;
  #startedAt = 0;
  #shownAt: number;
  #drawn = false;

  /** @param now the clock, in milliseconds. */
  constructor(outlet: Outlet, env: Environment, now: () => number = () => performance.now()) {
    this.#outlet = outlet;
    this.#interactive = isInteractive(outlet, env);
    this.#style = styleFor(outlet, env);
    this.#now = now;
    this.#shownAt = now();
  }

  begin(title: string, folder: string, statuses: readonly RunStatus[]): void {
    const plan = planStudy(statuses);
    this.#runs = plan.runs.length;
    this.#ended = plan.runs.filter(({ phase }) => phase === "done" || phase === "diverged").length;
    for (const { run, phase, step } of statuses) if (phase === "new" || phase === "begun") this.#open.set(run, step);
    this.#startedAt = this.#now();
    this.#print([
      this.#line("study", singleLine(title)),
      this.#line("plan", planText(plan)),
      this.#line("folder", folder),
      "",
    ]);
  }

  run(run: StudyRun, step: number): void {
    const { arm, seed } = run;
    const from = step === 0 ? "" : `, continuing after step ${step}`;
    this.#open.set(run, step);
    this.#begun.add(run);
    this.#print([this.#line("run", `${this.#ended + this.#begun.size}/${this.#runs}  ${arm}, seed ${seed}${from}`)]);
  }

  record(run: StudyRun, record: MetricsRecord): void {
    if (record.kind !== "step") return;
    this.#advance(run, record.step);
    const { arm, seed, settings } = run;
    const { maxSteps } = settings;
    const now = this.#now();
    if (now - this.#shownAt < (this.#interactive ? REDRAW_MS : PLAIN_INTERVAL_MS)) return;
    this.#shownAt = now;
    const name = `${arm}, seed ${seed}  `;
    const columns = this.#outlet.columns - name.length - 1;
    const line = name + stepLine(record, { maxSteps, secondsLeft: undefined, columns }, this.#style);
    this.#outlet.write(this.#interactive ? ERASE_LINE + line : `${line}\n`);
    this.#drawn = this.#interactive;
  }

  end({ run, phase, step, records }: RunStatus): void {
    const { arm, seed } = run;
    this.#advance(run, step);
    if (phase !== "begun") this.#open.delete(run);
    const { green, yellow } = this.#style;
    const name = `${arm}, seed ${seed}`;
    if (phase === "done") {
      const loss = finishedLoss(records);
      const end = records.findLast((record) => record.kind === "end");
      const result =
        loss === null ? "no finite loss" : `loss ${loss.toFixed(4)}  perplexity ${formatNumber(Math.exp(loss))}`;
      this.#print([
        this.#line("done", `${name}  ${result}  in ${formatDuration(end?.seconds ?? 0)}${this.#timeLeft()}`, green),
      ]);
    } else if (phase === "diverged") this.#print([this.#line("fail", `${name}  diverged at step ${step}`, yellow)]);
    else this.#print([this.#line("stop", `${name}  saved after step ${step}`, yellow)]);
  }

  #advance(run: StudyRun, step: number): void {
    this.#trained += run.tokensPerStep * Math.max(0, step - this.#open.get(run)!);
    this.#open.set(run, step);
  }

  /** The estimate at the pace so far, including the time between runs. */
  #timeLeft(): string {
    let left = 0;
    for (const [run, step] of this.#open) left += run.tokensPerStep * (run.settings.maxSteps - step);
    if (left <= 0 || this.#trained <= 0) return "";
    const seconds = (((this.#now() - this.#startedAt) / 1000) * left) / this.#trained;
    return `, about ${formatDuration(seconds)} left`;
  }

  note(text: string): void {
    this.#print([forCommandLine(text)]);
  }

  /** Removes the line that is redrawn, so that other text can follow. */
  clear(): void {
    if (this.#drawn) this.#outlet.write(ERASE_LINE);
    this.#drawn = false;
  }

  #line(label: string, text: string, color: (text: string) => string = this.#style.dim): string {
    return `${color(label)}${" ".repeat(8 - label.length)}${text}`;
  }

  #print(lines: readonly string[]): void {
    this.clear();
    this.#outlet.print(lines);
  }
}

const PHASES: Readonly<Record<RunPhase, string>> = { new: "to do", begun: "begun", done: "done", diverged: "diverged" };

/** The matrix of runs with their state. */
export function planLines(plan: StudyPlan): string[] {
  const rows = plan.runs.map(({ arm, seed, steps, tokens, phase, step }) => {
    const done = phase === "new" ? "" : `${step}`;
    return [arm, String(seed), String(steps), formatCount(tokens), PHASES[phase], done];
  });
  const table = tableLines("lrrrlr", ["arm", "seed", "steps", "tokens", "state", "steps done"], rows);
  return [...table, "", planText(plan)];
}

function planText(plan: StudyPlan): string {
  const { runs, left } = plan;
  const counts = Object.entries(PHASES).flatMap(([phase, name]) => {
    const count = runs.filter((run) => run.phase === phase).length;
    return count === 0 ? [] : [`${count} ${name}`];
  });
  const rest = left === 0 ? "nothing is left" : `${formatShare(left)} of the tokens are left`;
  return `${runs.length} runs, ${formatCount(tokensOf(plan))} tokens: ${counts.join(", ")}; ${rest}`;
}

function tokensOf({ runs }: StudyPlan): number {
  return runs.reduce((sum, run) => sum + run.tokens, 0);
}

/** The results in brief, and what they show. */
export function resultLines(summary: StudySummary, columns: number): string[] {
  const { head, rows } = resultTable(summary);
  const { findings, grounds } = conclusion(summary);
  const paragraph = (sentences: readonly string[]): string[] =>
    fillLines(sentences.join(" ").split(" "), 1, columns).map((line) => line.join(" "));
  const table = tableLines(`l${"r".repeat(head.length - 1)}`, head, rows);
  return ["", ...table, "", ...paragraph(findings), "", ...paragraph(grounds)];
}
