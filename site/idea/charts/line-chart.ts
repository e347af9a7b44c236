import { scale, ticks } from "./scale.ts";
import { picture, svg, text } from "./svg.ts";

export interface Line {
  readonly name: string;
  /** A color of shell/site.css, such as `blue`. */
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly isDashed?: boolean;
}

export interface LineChart {
  readonly label: string;
  readonly x: string;
  readonly y: string;
  /** Ends of the axes, which begin at 0. */
  readonly to: readonly [x: number, y: number];
  readonly lines: readonly Line[];
  /** Places of the x axis with a dashed line. */
  readonly marks?: readonly number[];
  /** Formats numbers of the y axis. */
  readonly format?: (value: number) => string;
}

const [LEFT, RIGHT, TOP, BOTTOM] = [44, 10, 26, 40];

/** Lines over an axis, with the names of the lines above. */
export function lineChart(width: number, height: number, chart: LineChart): SVGElement {
  const { label, x, y, to, lines, marks = [], format = String } = chart;
  const [across, up] = [ticks(to[0], width < 420 ? 4 : 8), ticks(to[1] * 0.95, 4)];
  const px = scale([0, to[0]], [LEFT, width - RIGHT]);
  const py = scale([0, up.at(-1)!], [height - BOTTOM, TOP]);
  const inRange = across.filter((tick) => tick <= to[0]);
  return picture(label, width, height, [
    ...up.map((tick) => svg("path", { d: `M${LEFT} ${py(tick)}H${width - RIGHT}`, class: "grid" })),
    ...marks.map((mark) => svg("path", { d: `M${px(mark)} ${TOP}V${height - BOTTOM}`, class: "mark" })),
    ...up.map((tick) => text(LEFT - 6, py(tick) + 4, format(tick), { "text-anchor": "end" })),
    ...inRange.map((tick) => text(px(tick), height - BOTTOM + 16, `${tick}`, { "text-anchor": "middle" })),
    text((LEFT + width - RIGHT) / 2, height - 6, x, { "text-anchor": "middle" }),
    text(4, 14, y, {}),
    ...lines.map(({ points, color, isDashed = false }) =>
      svg("path", {
        d: points.map(([a, b], i) => `${i === 0 ? "M" : "L"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join(""),
        class: isDashed ? "line dashed" : "line",
        style: `stroke: var(--${color})`,
      }),
    ),
  ]);
}

/** The names of lines beside their colors. */
export function legend(lines: readonly Pick<Line, "name" | "color" | "isDashed">[]): HTMLElement {
  const list = document.createElement("ul");
  list.className = "legend";
  list.append(
    ...lines.map(({ name, color, isDashed = false }) => {
      const item = document.createElement("li");
      const sample = svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, [
        svg("path", { d: "M1 5H25", class: isDashed ? "line dashed" : "line", style: `stroke: var(--${color})` }),
      ]);
      item.append(sample, name);
      return item;
    }),
  );
  return list;
}
