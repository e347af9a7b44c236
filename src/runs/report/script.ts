/**
 * The script of a report page: draws each chart of the page's data with uPlot, in the colours of the page's theme, as
 * wide as its place. Plain JavaScript for browsers; it stands after uPlot and after the element `#charts-data`.
 */
export const REPORT_SCRIPT: string = `
"use strict";
const charts = JSON.parse(document.getElementById("charts-data").textContent);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const plots = [];

const short = (value) => {
  const size = Math.abs(value);
  if (size >= 1e9) return +(value / 1e9).toPrecision(3) + "B";
  if (size >= 1e6) return +(value / 1e6).toPrecision(3) + "M";
  if (size >= 1e3) return +(value / 1e3).toPrecision(3) + "K";
  return String(+value.toPrecision(4));
};
const change = (value) => {
  const rounded = +value.toPrecision(3);
  const small = value !== 0 && Math.abs(value) < 1e-3;
  return (value > 0 ? "+" : "") + (small ? rounded.toExponential() : rounded);
};
const formats = {
  loss: (value) => value.toFixed(4),
  rate: (value) => (value === 0 ? "0" : value.toExponential(2)),
  count: short,
  number: (value) => String(+value.toPrecision(4)),
  share: (value) => +(100 * value).toPrecision(4) + "%",
  change,
};
const ticks = {
  loss: (value) => String(+value.toPrecision(3)),
  rate: (value) => (value === 0 ? "0" : value.toExponential(0)),
  count: short,
  number: short,
  share: (value) => +(100 * value).toPrecision(4) + "%",
  change,
};
// One digit is enough for ticks that are whole multiples of a power of ten; others need two.
const rateTicks = (values) => {
  const digits = values.every((value) => value === 0 || Math.abs(+value.toExponential(0) / value - 1) < 1e-6) ? 0 : 1;
  return values.map((value) => (value === 0 ? "0" : value.toExponential(digits)));
};

// A logarithmic axis has lines at powers of ten only, and not more than there is room for.
const powers = (plot, axis, low, high) => {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const by = Math.max(1, Math.ceil((last - first + 1) / 6));
  return Array.from({ length: Math.floor((last - first) / by) + 1 }, (_, i) => 10 ** (last - i * by)).reverse();
};
const powerTicks = (values) =>
  values.map((value) => (value < 9e-3 || value > 2e3 ? value.toExponential(0) : String(+value.toPrecision(1))));

function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.strokeStyle = css("mark");
  ctx.fillStyle = css("muted");
  ctx.font = 11 * ratio + "px system-ui, sans-serif";
  for (const { step, label } of marks) {
    const x = Math.round(plot.valToPos(step, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.setLineDash(label === "" ? [4 * ratio, 4 * ratio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (label === "") continue;
    const right = x + 4 * ratio + ctx.measureText(label).width <= bbox.left + bbox.width;
    ctx.textAlign = right ? "left" : "right";
    ctx.fillText(label, x + (right ? 4 : -4) * ratio, bbox.top + 11 * ratio);
  }
  ctx.restore();
}

// A single value makes no line, so each is a point then.
function pointsOf(look, color, alone) {
  if (look !== "points" && !alone) return { show: false };
  return { show: true, size: 9, width: 1.5, fill: () => css(color), stroke: () => css("card") };
}

function seriesOf({ label, color, look }, format, alone) {
  return {
    label,
    stroke: () => css(color),
    alpha: look === "faint" ? 0.4 : 1,
    width: look === "faint" ? 1 : 2,
    dash: look === "dashed" ? [6, 6] : undefined,
    spanGaps: true,
    points: pointsOf(look, color, alone),
    value: (plot, value) => (value == null ? "–" : formats[format](value)),
  };
}

// Both ends of a band are series that are not drawn and have no place in the legend.
const edge = () => ({ class: "edge", width: 0, stroke: "transparent", points: { show: false } });
const withBands = ({ series }) => {
  const data = series.map(({ values }) => values);
  const bands = [];
  for (const { band, color } of series) {
    if (!band) continue;
    data.push(band.high, band.low);
    bands.push({ series: [data.length - 1, data.length], fill: () => css(color) + "2b" });
  }
  return { data, bands };
};

function draw(chart, place) {
  const height = (width) => Math.round(Math.min(320, Math.max(200, width * 0.5)));
  const width = place.clientWidth;
  const font = "12px system-ui, sans-serif";
  const axis = {
    font,
    stroke: () => css("muted"),
    grid: { stroke: () => css("grid"), width: 1 },
    ticks: { stroke: () => css("grid"), width: 1, size: 5 },
  };
  const { steps, along = "step", logarithmic } = chart;
  const { data, bands } = withBands(chart);
  const positive = (values) => values.map((value) => (value > 0 ? value : null));
  const alone = steps.length === 1;
  const plot = new uPlot(
    {
      width,
      height: height(width),
      padding: [10, 14, 0, 0],
      cursor: { sync: { key: along }, points: { size: 7 } },
      scales: {
        x: { time: false, range: alone ? [steps[0] - 1, steps[0] + 1] : undefined },
        y: logarithmic ? { distr: 3 } : { range: (plot, low, high) => {
          if (low == null || (low === 0 && high === 0)) return [0, 1];
          const [padded, top] = uPlot.rangeNum(low, high, 0.08, true);
          const base = chart.fromZero ? Math.min(0, padded) : padded;
          return [base, Math.max(top, high + 0.15 * (high - base))];
        } },
      },
      axes: [
        { ...axis, incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 2500, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6],
          space: 60, size: 34, values: (plot, values) => values.map(short) },
        { ...axis, size: chart.format === "rate" || chart.format === "change" ? 60 : 50,
          values: (plot, values) => logarithmic ? powerTicks(values)
            : chart.format === "rate" ? rateTicks(values) : values.map(ticks[chart.format]),
          ...(logarithmic ? { splits: powers, filter: (plot, values) => values } : {}) },
      ],
      series: [
        { label: along },
        ...chart.series.map((series) => seriesOf(series, chart.format, alone)),
        ...bands.flatMap(() => [edge(), edge()]),
      ],
      bands,
      legend: { markers: { dash: (plot, index) => (plot.series[index].dash ? "dashed" : "solid") } },
      hooks: { draw: [(plot) => drawMarks(plot, chart.marks)] },
    },
    [steps, ...(logarithmic ? data.map(positive) : data)],
    place,
  );
  new ResizeObserver(() => {
    const next = place.clientWidth;
    if (next > 0 && next !== plot.width) plot.setSize({ width: next, height: height(next) });
  }).observe(place);
  return plot;
}

function drawAll() {
  for (const plot of plots.splice(0)) plot.destroy();
  for (const [index, chart] of charts.entries()) plots.push(draw(chart, document.getElementById("chart-" + index)));
}
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
`;
