import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { NO_SECTIONS, runPageBody } from "../../dist/runs/report/run-page.js";
import { PAGE_STYLE } from "../../dist/runs/report/style.js";
import { RunsPage } from "../../src/runs/report/browser/runs-page.ts";
import { byId } from "./page.ts";

// The charts and tables of a report, as `highrank watch` shows them. The page loads them when there is a run.

/** Makes the part of the page that shows runs. */
export function openReport(): RunsPage {
  Object.assign(globalThis, { uPlot });
  const style = document.createElement("style");
  // The style of a whole page, for a part of this one.
  style.textContent = `@scope (.report) {${PAGE_STYLE}}`;
  document.head.append(style);
  const rest = byId("report-rest");
  rest.innerHTML = runPageBody({ title: "", state: "", sections: NO_SECTIONS });
  // What matters while a run goes on stands above the rest of the page.
  byId("report").append(...[...rest.children].slice(0, [...rest.children].indexOf(byId("runs"))));
  // Of several runs, the title of the page is that of them all.
  document.title = "Runs in this browser";
  const page = new RunsPage();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.redraw());
  return page;
}
