import { curveCharts, type DrawnRun, knows, RUN_COLORS } from "../curves.js";
import { type RunData, type RunUpdate, SECTIONS, type Sections, type StepColumns } from "../page-data.js";
import { ChartList } from "./chart-list.js";
import { Controls } from "./controls.js";
import { settingDifferences } from "./differences.js";
import { byId, fill } from "./elements.js";
import { RunChoice } from "./run-choice.js";

/** Runs that are shown until the viewer chooses. */
const FIRST_SHOWN = 6;

/** The page of one run or several: its state, and what is drawn of it. */
export class RunsPage {
  /** In the order of their colours. */
  readonly #runs = new Map<string, RunData>();
  readonly #shown = new Set<string>();
  /** The run whose details are shown. */
  #focus: string | undefined;
  readonly #controls: Controls = new Controls(() => this.#ask());
  readonly #choice: RunChoice = new RunChoice({
    onShow: (id, isShown) => {
      if (isShown) this.#shown.add(id);
      else this.#shown.delete(id);
      this.#ask();
    },
    onFocus: (id) => this.focus(id),
  });
  readonly #curves: ChartList = new ChartList(byId("curves"), byId("loss"));
  readonly #charts: ChartList = new ChartList(byId("charts"));
  /** What the page is called where it has several runs. */
  readonly #title = document.title;
  #isAsked = false;

  /** Takes in what was heard of a run. */
  update({ from, ...update }: RunUpdate): void {
    const { id } = update;
    const before = this.#runs.get(id);
    const sections = update.sections ?? before?.sections;
    const steps = before === undefined || from === 0 ? update.steps : appended(before.steps, update.steps, from);
    this.#runs.set(id, { ...update, steps, ...(sections && { sections }) });
    this.#focus ??= id;
    if (before === undefined && (this.#shown.size < FIRST_SHOWN || update.isRunning)) this.#shown.add(id);
    this.#ask();
  }

  /** Says of runs that are not among these that they are gone. */
  keep(ids: readonly string[]): void {
    for (const [id, run] of this.#runs) {
      if (!ids.includes(id)) this.#runs.set(id, { ...run, state: "gone", isRunning: false });
    }
    this.#ask();
  }

  /** Shows the details of a run. */
  focus(id: string): void {
    this.#focus = id;
    this.#shown.add(id);
    this.#ask();
  }

  /** Shows a run no more. */
  forget(id: string): void {
    this.#runs.delete(id);
    this.#shown.delete(id);
    if (this.#focus === id) this.#focus = this.#runs.keys().next().value;
    this.#ask();
  }

  redraw(): void {
    this.#curves.redraw();
    this.#charts.redraw();
  }

  /** Has the page drawn once, however much changes until then. */
  #ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      this.#draw();
    });
  }

  #draw(): void {
    const runs = [...this.#runs.values()];
    const drawn = runs.flatMap((run, index): DrawnRun[] => {
      const color = RUN_COLORS[index % RUN_COLORS.length]!;
      return this.#shown.has(run.id) ? [{ run, color, isDashed: index >= RUN_COLORS.length }] : [];
    });
    const focus = this.#runs.get(this.#focus ?? "");
    for (const along of ["tokens", "time"] as const) {
      this.#controls.offer(
        along,
        drawn.some(({ run }) => knows(run, along)),
      );
    }
    this.#choice.show(runs, this.#shown, focus);
    const curves = curveCharts(drawn, focus && this.#shown.has(focus.id) ? focus : undefined, this.#controls.view);
    this.#curves.show(curves);
    this.#charts.show(focus?.charts ?? []);
    fill(byId("differences"), settingDifferences(drawn.map(({ run }) => run)));
    this.#head(runs, focus);
    if (focus?.sections !== undefined) showSections(focus.sections);
  }

  /** Names the run, or says how many there are. */
  #head(runs: readonly RunData[], focus: RunData | undefined): void {
    if (focus === undefined) return;
    const running = runs.filter(({ isRunning }) => isRunning).length;
    const isSeveral = runs.length > 1;
    byId("title").textContent = document.title = isSeveral ? this.#title : focus.title;
    byId("state").textContent = isSeveral ? `${runs.length} runs, ${running} running` : focus.state;
    byId("state").classList.toggle("running", running > 0);
  }
}

function appended(before: StepColumns, after: StepColumns, from: number): StepColumns {
  const names = Object.keys(before) as (keyof StepColumns)[];
  const column = (name: keyof StepColumns) => [...before[name].slice(0, from), ...after[name]];
  return Object.fromEntries(names.map((name) => [name, column(name)])) as unknown as StepColumns;
}

/** What parts of the page hold, so that one that did not change keeps what is open and where it was scrolled to. */
const shownMarkup = new WeakMap<HTMLElement, string>();

/** Fills the parts of the page that are of one run. */
function showSections(sections: Sections): void {
  for (const name of SECTIONS) {
    const place = byId(name);
    if (shownMarkup.get(place) === sections[name]) continue;
    // Its texts are escaped where it is made.
    place.innerHTML = sections[name];
    shownMarkup.set(place, sections[name]);
  }
}
