import type UPlot from "uplot";
import type { Chart } from "../chart.js";
import { FORMATS, placeText } from "../ticks.js";
import { byId } from "./elements.js";

/** Lets arrow keys move along a chart, as a pointer does, and Escape leave a part that was zoomed into. */
export function addKeys(place: HTMLElement, chart: () => Chart, plot: () => UPlot): void {
  place.tabIndex = 0;
  place.role = "group";
  place.ariaLabel = `${chart().title}, chart; arrow keys move along it`;
  place.addEventListener("keydown", (event) => {
    if (event.target !== place) return;
    if (event.key === "Escape") {
      plot().setData(plot().data);
      plot().setCursor({ left: -10, top: -10 });
      return;
    }
    const to = next(event.key, plot());
    if (to === null) return;
    event.preventDefault();
    const [x] = plot().data;
    plot().setCursor({ left: plot().valToPos(x[to]!, "x"), top: 10 });
    const said = document.getElementById("said");
    if (said !== null) byId("said").textContent = valuesAt(chart(), to);
  });
}

/** The point that a key leads to; a tenth of the chart at a time with the page keys. */
function next(key: string, { data, cursor }: UPlot): number | null {
  const last = data[0].length - 1;
  const at = cursor.idx ?? -1;
  const page = Math.max(1, Math.round(last / 10));
  const places: Readonly<Record<string, number>> = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    PageUp: at - page,
    PageDown: at + page,
    Home: 0,
    End: last,
  };
  const place = places[key];
  return place === undefined ? null : Math.min(last, Math.max(0, place));
}

function valuesAt({ along = "step", steps, series, format }: Chart, index: number): string {
  const known = series.flatMap(({ label, values }) => {
    const value = values[index];
    return value == null ? [] : [`${label} ${FORMATS[format](value)}`];
  });
  return [`${along} ${placeText(steps[index]!, along)}`, ...known].join(", ");
}
