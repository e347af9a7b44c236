import { RUN_COLORS } from "../curves.js";
import type { RunData, RunFacts } from "../page-data.js";
import { FORMATS, placeText } from "../ticks.js";
import { byId, element, fill, table } from "./elements.js";

/** Hears what a viewer chooses. */
interface ChoiceListener {
  onShow(id: string, isShown: boolean): void;
  onFocus(id: string): void;
}

/** The choice among several runs, and a table of them. Of a single run there is neither. */
export class RunChoice {
  readonly #listener: ChoiceListener;
  readonly #boxes = new Map<string, HTMLInputElement>();
  readonly #focus = element("select", {});
  #shownIds = "";
  #shownRows = "";

  constructor(listener: ChoiceListener) {
    this.#listener = listener;
    this.#focus.addEventListener("change", () => listener.onFocus(this.#focus.value));
  }

  show(runs: readonly RunData[], shown: ReadonlySet<string>, focus: RunData | undefined): void {
    const isSeveral = runs.length > 1;
    byId("choice").hidden = byId("runs").hidden = !isSeveral;
    if (!isSeveral) return;
    const ids = JSON.stringify(runs.map(({ id }) => id));
    if (ids !== this.#shownIds) this.#offer(runs);
    this.#shownIds = ids;
    for (const [id, box] of this.#boxes) box.checked = shown.has(id);
    if (focus !== undefined) this.#focus.value = focus.id;
    this.#list(runs);
  }

  #offer(runs: readonly RunData[]): void {
    this.#boxes.clear();
    const chips = runs.map(({ id, name }, index) => {
      const box = element("input", { type: "checkbox" });
      box.addEventListener("change", () => this.#listener.onShow(id, box.checked));
      this.#boxes.set(id, box);
      return element("label", { className: "chip" }, [box, swatch(index), element("bdi", {}, [name])]);
    });
    fill(
      this.#focus,
      runs.map(({ id, name }) => element("option", { value: id }, [name])),
    );
    const legend = element("legend", { className: "hidden" }, ["Runs"]);
    const group = element("fieldset", { className: "chips" }, [legend, ...chips]);
    fill(byId("choice"), [group, element("label", {}, ["Details of", this.#focus])]);
  }

  #list(runs: readonly RunData[]): void {
    const rows = runs.map(({ name, state, facts }) => [name, state, ...factCells(facts)]);
    const text = JSON.stringify(rows);
    if (text === this.#shownRows) return;
    this.#shownRows = text;
    const head = [
      "Run",
      "State",
      "Step",
      "Loss (mean of steps)",
      "Held-out",
      "Lowest",
      "Scored tokens",
      "Tokens a second, with padding",
      "Time",
    ];
    const cells = rows.map(([name, ...others], index) => [
      element("span", { className: "named" }, [swatch(index), element("bdi", {}, [name!])]),
      ...others,
    ]);
    fill(byId("run-list"), [table("Runs", head, cells)]);
  }
}

function factCells({
  step,
  maxSteps,
  loss,
  lossSteps,
  heldOut,
  lowestHeldOut,
  tokens,
  speed,
  seconds,
}: RunFacts): string[] {
  const lossText = (value: number | null): string => (value === null ? "–" : FORMATS.loss(value));
  return [
    maxSteps === null ? String(step) : `${step} of ${maxSteps}`,
    loss === null ? "–" : `${lossText(loss)} (${lossSteps})`,
    lossText(heldOut),
    lossText(lowestHeldOut),
    FORMATS.count(tokens),
    speed === null ? "–" : FORMATS.count(speed),
    seconds === null ? "–" : placeText(seconds, "time"),
  ];
}

/** The colour of a run's lines. */
function swatch(index: number): HTMLElement {
  const made = element("span", {
    className: index < RUN_COLORS.length ? "swatch" : "swatch dashed",
    ariaHidden: "true",
  });
  made.style.color = `var(--${RUN_COLORS[index % RUN_COLORS.length]})`;
  return made;
}
