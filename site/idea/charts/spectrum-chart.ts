import { scale, ticks } from "./scale.ts";
import { picture, svg, text } from "./svg.ts";

const [LEFT, RIGHT, TOP, BOTTOM] = [36, 6, 26, 40];
const HEIGHT = 260;

/** Bars of singular values that grow to the marks of a target. */
export class SpectrumChart {
  readonly element: SVGElement;
  readonly #bars: readonly SVGElement[];
  readonly #high: number;

  /** @param rank of each cycle: bars that a cycle adds have one color. */
  constructor(width: number, target: readonly number[], rank: number) {
    const up = ticks(Math.max(...target), 4);
    this.#high = up.at(-1)!;
    const slot = (width - LEFT - RIGHT) / target.length;
    const py = scale([0, this.#high], [HEIGHT - BOTTOM, TOP]);
    const at = (i: number): number => LEFT + slot * i;
    this.#bars = target.map((_, i) => {
      const color = Math.floor(i / rank) % 2 === 0 ? "blue" : "teal";
      const box = { x: at(i) + slot * 0.12, y: TOP, width: slot * 0.76, height: HEIGHT - BOTTOM - TOP };
      return svg("rect", { ...box, class: "bar", style: `fill: var(--${color})` });
    });
    const places = target.map((_, i) => i + 1).filter((place) => place === 1 || place % (width < 420 ? 8 : 4) === 0);
    this.element = picture("", width, HEIGHT, [
      ...up.map((tick) => svg("path", { d: `M${LEFT} ${py(tick)}H${width - RIGHT}`, class: "grid" })),
      ...up.map((tick) => text(LEFT - 6, py(tick) + 4, `${tick}`, { "text-anchor": "end" })),
      ...this.#bars,
      ...target.map((value, i) => svg("path", { d: `M${at(i)} ${py(value)}h${slot}`, class: "target" })),
      ...places.map((place) => text(at(place - 0.5), HEIGHT - BOTTOM + 16, `${place}`, { "text-anchor": "middle" })),
      text((LEFT + width - RIGHT) / 2, HEIGHT - 6, "singular values by size", { "text-anchor": "middle" }),
      text(4, 14, "value"),
    ]);
  }

  /** Lets the bars grow to the values. */
  show(values: readonly number[], label: string): void {
    this.element.setAttribute("aria-label", label);
    for (const [i, bar] of this.#bars.entries()) bar.style.transform = `scaleY(${(values[i] ?? 0) / this.#high})`;
  }
}
