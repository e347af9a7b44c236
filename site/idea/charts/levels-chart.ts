import { scale } from "./scale.ts";
import { picture, svg, text } from "./svg.ts";

export interface LevelsChart {
  readonly label: string;
  /** The values that are possible. */
  readonly levels: readonly number[];
  /** Dots on levels. */
  readonly held: readonly number[];
  /** Rings where the values should be. */
  readonly due: readonly number[];
}

const [LEFT, RIGHT, TOP, BOTTOM] = [36, 8, 26, 24];

/** Weights side by side: dots on the levels of a grid, and rings where exact sums have them. */
export function levelsChart(width: number, height: number, { label, levels, held, due }: LevelsChart): SVGElement {
  const reach = 1.05 * Math.max(...[...held, ...due].map(Math.abs));
  const py = scale([-reach, reach], [height - BOTTOM, TOP]);
  const px = scale([-0.5, held.length - 0.5], [LEFT, width - RIGHT]);
  const ends = [-1, 0, 1].map((share) => Math.round(share * reach * 0.8));
  const areVisible = levels.length <= 32;
  const visible = areVisible ? levels.filter((level) => Math.abs(level) <= reach) : [];
  return picture(label, width, height, [
    ...visible.map((level) => svg("path", { d: `M${LEFT} ${py(level)}H${width - RIGHT}`, class: "level" })),
    ...ends.map((value) => text(LEFT - 6, py(value) + 4, `${value}`.replace("-", "−"), { "text-anchor": "end" })),
    ...held.map((value, i) => svg("path", { d: `M${px(i)} ${py(value)}V${py(due[i]!)}`, class: "lost" })),
    ...due.map((value, i) => svg("circle", { cx: px(i), cy: py(value), r: 4, class: "due" })),
    ...held.map((value, i) => svg("circle", { cx: px(i), cy: py(value), r: 3, class: "held" })),
    text(4, 14, areVisible ? "value in σ" : `value in σ; ${levels.length} levels are too close to draw`),
    text((LEFT + width - RIGHT) / 2, height - 6, "16 weights", { "text-anchor": "middle" }),
  ]);
}
