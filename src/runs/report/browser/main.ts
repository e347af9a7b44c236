import type { PageData } from "../page-data.js";
import { byId } from "./elements.js";
import { follow } from "./live.js";
import { Plot } from "./plot.js";
import { RunsPage } from "./runs-page.js";

const { charts, runs, events } = JSON.parse(byId("page-data").textContent) as PageData;

const plots: Pick<Plot, "redraw">[] = charts.map((chart, index) => new Plot(byId(`chart-${index}`), chart));

if (document.getElementById("controls") !== null) {
  const page = new RunsPage();
  for (const run of runs) page.update({ ...run, from: 0 });
  if (events !== null) follow(events, page);
  plots.push(page);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of plots) plot.redraw();
});
