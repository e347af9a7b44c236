import { ALONG, type View } from "../curves.js";
import { byId, element, fill } from "./elements.js";

/** Shares of the steps that the smoothing goes through: fine at first, then coarse. */
const SMOOTHING = [0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2];
const FIRST_SMOOTHING = 3;

const NAMES: Readonly<Record<View["along"], string>> = { step: "Steps", tokens: "Tokens", time: "Time" };

/** The controls of the curves, which are the same for all of them. */
export class Controls {
  #view: View = { along: "step", smoothing: SMOOTHING[FIRST_SMOOTHING]!, logarithmic: false };
  readonly #along = new Map<View["along"], HTMLInputElement>();

  constructor(onChange: () => void) {
    const change = (part: Partial<View>): void => {
      this.#view = { ...this.#view, ...part };
      onChange();
    };
    fill(byId("controls"), [this.#alongChoice(change), smoothingSlider(change), logarithmicBox(change)]);
  }

  get view(): View {
    return this.#view;
  }

  /** Offers an axis only where the runs know their places on it. */
  offer(along: View["along"], isKnown: boolean): void {
    this.#along.get(along)!.disabled = !isKnown;
  }

  #alongChoice(change: (part: Partial<View>) => void): HTMLElement {
    const labels = ALONG.map((along) => {
      const isFirst = along === this.#view.along;
      const input = element("input", { type: "radio", name: "along", value: along, checked: isFirst });
      input.addEventListener("change", () => change({ along }));
      this.#along.set(along, input);
      return element("label", {}, [input, element("span", {}, [NAMES[along]])]);
    });
    const legend = element("legend", { className: "hidden" }, ["Horizontal axis"]);
    return element("fieldset", { className: "choice" }, [legend, ...labels]);
  }
}

function smoothingSlider(change: (part: Partial<View>) => void): HTMLElement {
  const input = element("input", { type: "range", min: "0", max: String(SMOOTHING.length - 1), step: "1" });
  input.value = String(FIRST_SMOOTHING);
  const told = element("output", {});
  const tell = (): void => {
    const share = SMOOTHING[Number(input.value)]!;
    told.textContent = share === 0 ? "off" : `${Number((100 * share).toPrecision(2))}%`;
    input.ariaValueText = told.textContent;
  };
  tell();
  input.addEventListener("input", () => {
    tell();
    change({ smoothing: SMOOTHING[Number(input.value)]! });
  });
  return element("label", { title: "Share of the steps that a point is the mean of" }, ["Smoothing", input, told]);
}

function logarithmicBox(change: (part: Partial<View>) => void): HTMLElement {
  const input = element("input", { type: "checkbox" });
  input.addEventListener("change", () => change({ logarithmic: input.checked }));
  return element("label", {}, [input, "Log axis"]);
}
