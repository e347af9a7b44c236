import type { Chart } from "../chart.js";
import { card, element } from "./elements.js";
import { Plot } from "./plot.js";

/** Charts that come and go, each in a part of the page of its own. */
export class ChartList {
  readonly #place: HTMLElement;
  readonly #first: HTMLElement | undefined;
  readonly #cards = new Map<string, { readonly card: HTMLElement; readonly note: HTMLElement; readonly plot: Plot }>();

  /** @param first where the chart of losses stands, apart from the others. */
  constructor(place: HTMLElement, first?: HTMLElement) {
    this.#place = place;
    this.#first = first;
  }

  show(charts: readonly Chart[]): void {
    const titles = new Set(charts.map(({ title }) => title));
    for (const [title, { card, plot }] of this.#cards) {
      if (titles.has(title)) continue;
      plot.remove();
      card.remove();
      this.#cards.delete(title);
    }
    for (const chart of charts) {
      const shown = this.#cards.get(chart.title);
      shown?.plot.update(chart);
      const { note } = shown ?? this.#add(chart);
      note.textContent = chart.note;
    }
  }

  redraw(): void {
    for (const { plot } of this.#cards.values()) plot.redraw();
  }

  #add(chart: Chart): { readonly note: HTMLElement } {
    const isFirst = chart.title === "Loss" && this.#first !== undefined;
    const note = element("p", {}, [chart.note]);
    const place = element("div", { className: isFirst ? "chart tall" : "chart" });
    const made = card(chart.title, [note, place]);
    (isFirst ? this.#first! : this.#place).append(made);
    const shown = { card: made, note, plot: new Plot(place, chart) };
    this.#cards.set(chart.title, shown);
    return shown;
  }
}
