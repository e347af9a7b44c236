import type { QuantizationFormat } from "highrank";
import { levelsChart } from "../charts/levels-chart.ts";
import { type Line, legend, lineChart } from "../charts/line-chart.ts";
import { drawnIn } from "../charts/svg.ts";
import { computation } from "./computation.ts";
import { chosen, row, watchControls } from "./controls.ts";
import type { Grid, GridMerge, GridSettings } from "./grid.ts";

const SIDE = 8;

/** What the slider offers, in percent of the weights' deviation. */
const SIZES = [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20] as const;

/** The figure of a block of codes into which one update is merged again and again. */
export function showGrid(figure: HTMLElement): void {
  const find = <T extends Element = HTMLElement>(selector: string): T => figure.querySelector<T>(selector)!;
  const form = find<HTMLFormElement>("form");
  let settings: GridSettings;
  let grid: Grid | undefined;

  const drawLevels = drawnIn(find("[data-chart=levels]"), (width) => {
    if (grid === undefined) return undefined;
    const { levels, requantized, exact } = grid;
    const [held, due] = [requantized.slice(0, 2 * SIDE), exact.slice(0, 2 * SIDE)];
    const label = `Of 16 weights, where requantizing has them and where the exact sum has them. ${words(grid)}`;
    const fragment = document.createDocumentFragment();
    const items = [
      { name: "requantized", className: "held" },
      { name: "base and exact sum", className: "due" },
    ];
    fragment.append(dotLegend(items), levelsChart(width, 260, { label, levels, held, due }));
    return fragment;
  });
  const drawErrors = drawnIn(find("[data-chart=errors]"), (width) => {
    if (grid === undefined) return undefined;
    const { merged } = grid;
    const points = (key: keyof GridMerge) => merged.map((each, merge) => [merge, each[key]] as const);
    const lines: Line[] = [
      { name: "requantized", color: "orange", points: points("requantized") },
      { name: "codes of the delta log, rounded anew", color: "teal", points: points("working"), isDashed: true },
      { name: "delta log: base and exact sum", color: "blue", points: points("exact") },
    ];
    const high = Math.max(...merged.flatMap(({ requantized, working }) => [requantized, working]), 1e-3);
    const fragment = document.createDocumentFragment();
    fragment.append(
      legend(lines),
      lineChart(width, 230, {
        label: `Distance of the weights to what they should be over ${settings.merges} merges. ${words(grid)}`,
        ...{ x: "merges", y: "share of the weights", lines, to: [settings.merges, high] },
        format: (value) => `${Number((100 * value).toPrecision(3))} %`,
      }),
    );
    return fragment;
  });

  const compute = computation("grid", {
    onResult(result) {
      grid = result;
      find(".codes tbody").replaceChildren(...codeRows(result));
      find(".numbers").replaceChildren(...result.merged.map(numbersOf));
      find(".said").textContent = words(result);
      drawLevels();
      drawErrors();
    },
    onEnd() {
      figure.dataset.done = JSON.stringify(settings);
    },
    onFault(words) {
      find(".said").textContent = words;
    },
  });
  const shown = {
    size: (place: number) => `${SIZES[place]} % of σ`,
    merges: String,
  };
  watchControls(form, shown, () => {
    settings = {
      format: chosen(form, "format") as QuantizationFormat,
      size: SIZES[Number(chosen(form, "size"))]! / 100,
      merges: Number(chosen(form, "merges")),
    };
    delete figure.dataset.done;
    compute(settings);
  });

  /** What the figure shows, in a sentence or two. */
  function words({ below, codes, codesBefore, merged }: Grid): string {
    const { taken, exact } = merged.at(-1)!;
    const changed = codes.filter((code, i) => code !== codesBefore[i]).length;
    return (
      `The update is below half a step for ${below} of 64 weights. After ${settings.merges} merges ${changed} of 64 codes ` +
      `have changed, and ${(100 * taken).toFixed(0)} % of the updates are in the requantized weights. ` +
      `Base and delta log are ${powerOfTen(exact)} away from the sum: the rounding of float32.`
    );
  }
}

function codeRows({ codes, codesBefore, requantized }: Grid): HTMLTableRowElement[] {
  const largest = Math.max(...requantized.map(Math.abs));
  return Array.from({ length: SIDE }, (_, line) => {
    const element = document.createElement("tr");
    for (let i = line * SIDE; i < (line + 1) * SIDE; i++) {
      const cell = element.insertCell();
      const isChanged = codes[i] !== codesBefore[i];
      const strength = Math.round((55 * Math.abs(requantized[i]!)) / largest);
      cell.textContent = `${codes[i]}`.replace("-", "−");
      cell.style.background = `color-mix(in srgb, var(--${requantized[i]! < 0 ? "orange" : "blue"}) ${strength}%, var(--card))`;
      if (isChanged) cell.className = "changed";
    }
    return element;
  });
}

function numbersOf({ requantized, working, exact, taken }: GridMerge, merge: number): HTMLTableRowElement {
  const errors = [requantized, working].map((error) => `${(100 * error).toFixed(2)} %`);
  return row([`${merge}`, ...errors, powerOfTen(exact), merge === 0 ? "" : `${(100 * taken).toFixed(1)} %`]);
}

/** As 5·10⁻⁷. */
function powerOfTen(value: number): string {
  const [digit, exponent] = value.toExponential(0).split("e") as [string, string];
  const raised = exponent.replace("+", "").replace(/./g, (each) => (each === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(each)]!));
  return value === 0 ? "0" : `${digit}·10${raised}`;
}

function dotLegend(items: readonly { readonly name: string; readonly className: string }[]): HTMLElement {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const { name, className } of items) {
    const sample = document.createElement("span");
    sample.className = `dot ${className}`;
    const item = document.createElement("li");
    item.append(sample, name);
    list.append(item);
  }
  return list;
}
