import { type Line, legend, lineChart } from "../charts/line-chart.ts";
import { SpectrumChart } from "../charts/spectrum-chart.ts";
import { drawnIn } from "../charts/svg.ts";
import { computation } from "./computation.ts";
import { chosen, row, watchControls } from "./controls.ts";
import type { CycleSettings, CyclesStart, MergedCycle } from "./cycles.ts";
import { SIZE, type Spectrum } from "./targets.ts";

/** Between two merges that are shown one after another. */
const PAUSE_MS = 250;

const HEIGHT = 230;

/** The figure of one matrix that is learned cycle by cycle. */
export function showCycles(figure: HTMLElement): void {
  const find = <T extends Element = HTMLElement>(selector: string): T => figure.querySelector<T>(selector)!;
  const form = find<HTMLFormElement>("form");
  const [slider, output] = [find<HTMLInputElement>("[name=shown]"), find<HTMLOutputElement>(".scrub output")];
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  let settings: CycleSettings;
  let start: CyclesStart;
  let merged: MergedCycle[] = [];
  let isDone = false;
  let spectrum: SpectrumChart | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const drawSpectrum = drawnIn(find("[data-chart=spectrum]"), (width) => {
    if (start === undefined) return undefined;
    spectrum = new SpectrumChart(width, start.target, settings.rank);
    showMerge(slider.valueAsNumber);
    return spectrum.element;
  });
  const drawErrors = drawnIn(find("[data-chart=error]"), (width) => {
    if (start === undefined) return undefined;
    return withLegend(errorLines(), (lines) =>
      lineChart(width, HEIGHT, {
        label: `Distance to the target over ${settings.cycles * settings.steps} steps. ${words()}`,
        ...{ x: "steps; dashed: merges", y: "share of the target", lines },
        to: [settings.cycles * settings.steps, Math.max(1, ...merged.flatMap(({ errors }) => errors))],
        marks: merged.map(({ cycle }) => cycle * settings.steps),
      }),
    );
  });
  const drawRanks = drawnIn(find("[data-chart=rank]"), (width) => {
    if (start === undefined) return undefined;
    return withLegend(rankLines(), (lines) =>
      lineChart(width, HEIGHT, {
        label: `Rank over ${settings.cycles} merges. ${words()}`,
        ...{ x: "merges", y: "rank", lines },
        to: [settings.cycles, Math.max(SIZE, settings.rank * settings.cycles)],
      }),
    );
  });

  const compute = computation("cycles", {
    onResult: take,
    onEnd() {
      isDone = true;
      find(".said").textContent = words();
      find("tbody").replaceChildren(...merged.map(numbersOf));
      drawErrors();
      drawRanks();
      figure.dataset.done = JSON.stringify(settings);
    },
    onFault(words) {
      find(".said").textContent = words;
    },
  });
  slider.addEventListener("input", () => {
    clearTimeout(timer);
    showMerge(slider.valueAsNumber);
  });
  watchControls(form, { rank: String, cycles: String, steps: String }, () => {
    const number = (name: string) => Number(chosen(form, name));
    const kind = chosen(form, "spectrum") as Spectrum;
    const isChecked = (name: string) => (form.elements.namedItem(name) as HTMLInputElement).checked;
    settings = {
      ...{ rank: number("rank"), cycles: number("cycles"), steps: number("steps"), spectrum: kind },
      ...{ resetMoments: isChecked("resetMoments"), warmUp: isChecked("warmUp") },
    };
    delete figure.dataset.done;
    compute(settings);
  });

  function take(result: CyclesStart | MergedCycle): void {
    if (result.cycle === 0) {
      clearTimeout(timer);
      timer = undefined;
      [start, merged, isDone] = [result as CyclesStart, [], false];
      slider.max = `${settings.cycles}`;
      showMerge(0);
      drawSpectrum();
    } else {
      merged.push(result as MergedCycle);
      timer ??= setTimeout(showNext, isCalm.matches ? 0 : PAUSE_MS);
    }
    drawErrors();
    drawRanks();
  }

  /** Goes on to the next merge until all that are known have been shown. */
  function showNext(): void {
    const next = isCalm.matches ? merged.length : slider.valueAsNumber + 1;
    timer = undefined;
    if (next > merged.length) return;
    showMerge(next);
    if (next < merged.length) timer = setTimeout(showNext, PAUSE_MS);
  }

  function showMerge(merge: number): void {
    slider.value = `${merge}`;
    const result = merged[merge - 1];
    const rank = result?.rank ?? 0;
    output.value = `${merge}: rank ${rank}`;
    slider.setAttribute("aria-valuetext", `${merge}, rank of the sum ${rank}`);
    const label = `Singular values of the sum after ${merge} merges: ${rank} of ${SIZE} are not zero.`;
    spectrum?.show(result?.values ?? [], label);
  }

  function errorLines(): Line[] {
    const { steps, cycles } = settings;
    const over = (key: "errors" | "alone") =>
      merged.flatMap((result) => result[key].map((error, i) => [(result.cycle - 1) * steps + i, error] as const));
    const limit = [[0, start.limit] as const, [steps * cycles, start.limit] as const];
    return [
      { name: "ReLoRA", color: "blue", points: over("errors") },
      { name: "one adapter, never merged", color: "orange", points: over("alone") },
      { name: `the best of rank ${settings.rank}`, color: "muted", points: limit, isDashed: true },
    ];
  }

  function rankLines(): Line[] {
    const { rank, cycles } = settings;
    const ranks = merged.map((each) => [each.cycle, each.rank] as const);
    const sums = [[0, 0] as const, [cycles, rank * cycles] as const];
    return [
      { name: "rank of the sum", color: "blue", points: [[0, 0], ...ranks] },
      { name: "sum of the ranks", color: "orange", points: sums, isDashed: true },
    ];
  }

  /** What the figure shows, in a sentence or two. */
  function words(): string {
    const last = merged.at(-1);
    if (!isDone || last === undefined) return "";
    const { rank, cycles } = settings;
    const [own, once] = [last.errors.at(-1)!, last.alone.at(-1)!].map(percent);
    return (
      `After ${plural(cycles, "cycle")} of rank ${rank} the sum has rank ${last.rank}; the matrix allows ${SIZE}. ` +
      `It is ${own} away from the target, and one adapter of rank ${rank}, trained for as many steps, ${once}.`
    );
  }

  function numbersOf({ cycle, rank, values, errors, alone }: MergedCycle): HTMLTableRowElement {
    const known = values.slice(0, rank).map((value) => value.toFixed(2));
    const distances = [errors, alone].map((each) => percent(each.at(-1)!));
    return row([`${cycle}`, `${cycle * settings.rank}`, `${rank}`, ...distances, known.join(" ")]);
  }
}

function withLegend(lines: readonly Line[], draw: (lines: readonly Line[]) => Node): DocumentFragment {
  const fragment = document.createDocumentFragment();
  fragment.append(legend(lines), draw(lines));
  return fragment;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
