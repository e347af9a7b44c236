import type UPlot from "uplot";
import type { Chart, ChartSeries } from "../chart.js";
import { FORMATS, factorTicks, placeSteps, placeText, valueTicks } from "../ticks.js";
import { styleVariable as css } from "./elements.js";
import { addKeys } from "./plot-keys.js";

/** uPlot stands in the page before this script. */
declare const uPlot: typeof UPlot;

const FONT = "12px system-ui, sans-serif";

/** A chart that is drawn into an element, as wide as it. */
export class Plot {
  readonly #place: HTMLElement;
  readonly #watched: ResizeObserver;
  #chart: Chart;
  #plot: UPlot;

  constructor(place: HTMLElement, chart: Chart) {
    this.#place = place;
    this.#chart = chart;
    this.#plot = this.#draw();
    addKeys(
      place,
      () => this.#chart,
      () => this.#plot,
    );
    this.#watched = new ResizeObserver(() => this.#fit());
    this.#watched.observe(place);
  }

  /** Shows another state of the chart. A part that was zoomed into stays. */
  update(chart: Chart): void {
    const isSame = lookOf(chart) === lookOf(this.#chart);
    const { min, max } = this.#plot.scales.x!;
    const { steps } = this.#chart;
    const isZoomed = steps.length > 1 && min != null && max != null && (min > steps[0]! || max < steps.at(-1)!);
    this.#chart = chart;
    if (isSame) {
      this.#plot.setData(dataOf(chart), !isZoomed);
      if (isZoomed) this.#plot.redraw();
    } else this.redraw();
  }

  /** Draws the chart anew, in the colours of the page's theme. */
  redraw(): void {
    this.#plot.destroy();
    this.#plot = this.#draw();
  }

  remove(): void {
    this.#watched.disconnect();
    this.#plot.destroy();
  }

  #fit(): void {
    const size = sizeOf(this.#place);
    if (size.width > 0 && (size.width !== this.#plot.width || size.height !== this.#plot.height))
      this.#plot.setSize(size);
  }

  #draw(): UPlot {
    const plot = new uPlot(
      optionsOf(this.#chart, sizeOf(this.#place), () => this.#chart.marks),
      dataOf(this.#chart),
      this.#place,
    );
    makeLabelsButtons(plot);
    return plot;
  }
}

/** What of a chart cannot be changed without drawing it anew. */
function lookOf({ series, logarithmic, along, format }: Chart): string {
  const looks = series.map(({ label, color, look, band, isUnlisted }) => [label, color, look, !band, isUnlisted]);
  return JSON.stringify([looks, logarithmic, along, format]);
}

function sizeOf(place: HTMLElement): { width: number; height: number } {
  const width = place.clientWidth;
  const [share, most] = place.classList.contains("tall") ? [0.62, 380] : [0.5, 300];
  return { width, height: Math.round(Math.min(most, Math.max(220, width * share))) };
}

/** The values of the lines, and after them both ends of each band. */
function dataOf({ steps, series, logarithmic }: Chart): UPlot.AlignedData {
  const positive = (values: ChartSeries["values"]): (number | null)[] =>
    values.map((value) => (value !== null && value > 0 ? value : null));
  const lines = series.map(({ values }) => values);
  const bands = series.flatMap(({ band }) => (band === undefined ? [] : [band.high, band.low]));
  const values = [...lines, ...bands].map((each) => (logarithmic ? positive(each) : [...each]));
  return [[...steps], ...values];
}

function optionsOf(chart: Chart, size: { width: number; height: number }, marks: () => Chart["marks"]): UPlot.Options {
  const { along = "step", series, format } = chart;
  const banded = series.filter(({ band }) => band !== undefined);
  const edge = (): UPlot.Series => ({ class: "edge", width: 0, stroke: "transparent", points: { show: false } });
  return {
    ...size,
    padding: [10, 14, 0, 0],
    cursor: { sync: { key: along }, points: { size: 7 } },
    scales: { x: { time: false }, y: valueScale(chart) },
    axes: axesOf(chart),
    series: [
      { label: along, value: (_, place) => (place == null ? "–" : placeText(place, along)) },
      ...series.map((each) => seriesOf(each, format)),
      ...banded.flatMap(() => [edge(), edge()]),
    ],
    bands: banded.map(({ color }, index) => {
      const first = 1 + series.length + 2 * index;
      return { series: [first, first + 1], fill: () => `${css(color)}2b` };
    }),
    legend: { markers: { dash: (plot, index) => (plot.series[index]!.dash ? "dashed" : "solid") } },
    hooks: { draw: [(plot) => drawMarks(plot, marks())] },
  };
}

function valueScale({ logarithmic, fromZero }: Chart): UPlot.Scale {
  if (logarithmic) return { distr: 3, range: (_, low, high) => (low == null ? [1, 10] : [low / 1.03, high * 1.03]) };
  return {
    range: (_, low, high) => {
      if (low == null || (low === 0 && high === 0)) return [0, 1];
      const [padded, top] = uPlot.rangeNum(low, high, 0.08, true) as [number, number];
      const base = fromZero ? Math.min(0, padded) : padded;
      return [base, Math.max(top, high + 0.1 * (high - base))];
    },
  };
}

function axesOf({ along = "step", format, logarithmic = false }: Chart): UPlot.Axis[] {
  const axis: UPlot.Axis = {
    font: FONT,
    stroke: () => css("muted"),
    grid: { stroke: () => css("grid"), width: 1 },
    ticks: { stroke: () => css("grid"), width: 1, size: 5 },
  };
  const factors: UPlot.Axis = { splits: (_, __, low, high) => factorTicks(low, high), filter: (_, values) => values };
  return [
    {
      ...axis,
      incrs: placeSteps(along),
      space: 60,
      size: 34,
      values: (_, values) => values.map((value) => placeText(value, along)),
    },
    {
      ...axis,
      size: format === "rate" || format === "change" ? 60 : 50,
      values: (_, values) => valueTicks(values, format, logarithmic),
      ...(logarithmic ? factors : {}),
    },
  ];
}

function seriesOf({ label, color, look, isUnlisted }: ChartSeries, format: Chart["format"]): UPlot.Series {
  const isPoints = look === "points";
  return {
    label,
    stroke: () => css(color),
    alpha: look === "faint" ? 0.4 : 1,
    // Points that belong to a line are not joined by another.
    width: isUnlisted ? 0 : look === "faint" ? 1 : 2,
    ...(look === "dashed" ? { dash: [6, 6] } : {}),
    ...(isUnlisted ? { class: "edge" } : {}),
    spanGaps: true,
    points: isPoints
      ? { show: true, size: 9, width: 1.5, fill: () => css(color), stroke: () => css("card") }
      : { show: false },
    value: (_, value) => (value == null ? "–" : FORMATS[format](value)),
  };
}

function drawMarks({ ctx, bbox, valToPos }: UPlot, marks: Chart["marks"]): void {
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.strokeStyle = css("mark");
  ctx.fillStyle = css("muted");
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  for (const { step, label } of marks) {
    const x = Math.round(valToPos(step, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.setLineDash(label === "" ? [4 * ratio, 4 * ratio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (label === "") continue;
    const hasRoom = x + 4 * ratio + ctx.measureText(label).width <= bbox.left + bbox.width;
    ctx.textAlign = hasRoom ? "left" : "right";
    ctx.fillText(label, x + (hasRoom ? 4 : -4) * ratio, bbox.top + 11 * ratio);
  }
  ctx.restore();
}

/** A click on a name hides its line; keys do the same. */
function makeLabelsButtons(plot: UPlot): void {
  const rows = [...plot.root.querySelectorAll<HTMLElement>(".u-series")].slice(1);
  for (const [index, row] of rows.entries()) {
    const label = row.querySelector<HTMLElement>(".u-label");
    if (label === null || row.classList.contains("edge")) continue;
    label.tabIndex = 0;
    label.role = "button";
    const tell = (): void => {
      label.ariaPressed = String(plot.series[index + 1]!.show);
    };
    tell();
    row.addEventListener("click", tell);
    label.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      label.click();
    });
  }
}
