import { packageFile, readText } from "#platform";
import type { Chart } from "./charts.js";
import { card, escapeHtml, escapeJson } from "./html.js";
import { REPORT_SCRIPT } from "./script.js";
import { REPORT_STYLE } from "./style.js";

/** Parts of a page. */
export interface ReportPage {
  readonly title: string;
  readonly charts: readonly Chart[];
  /** The markup below the title, given a card for each chart. */
  readonly content: (charts: readonly string[]) => string;
}

/**
 * One HTML file that needs nothing but itself, its charts drawn by its script.
 * @throws DataError if uPlot, which is put into the page, is not installed.
 */
export async function renderPage({ title, charts, content }: ReportPage): Promise<string> {
  const library = await readText(packageFile("uplot", "dist/uPlot.iife.min.js"));
  const libraryStyle = await readText(packageFile("uplot", "dist/uPlot.min.css"));
  const cards = charts.map(({ title: name, note }, index) => card(name, note, `<div id="chart-${index}"></div>`));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${libraryStyle}${REPORT_STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${content(cards)}
</main>
<script id="charts-data" type="application/json">${escapeJson(charts)}</script>
<script>${library}</script>
<script>${REPORT_SCRIPT}</script>
</body>
</html>
`;
}
