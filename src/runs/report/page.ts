import { readPackageText, sha256 } from "#platform";
import type { Chart } from "./chart.js";
import { card, escapeHtml, escapeJson } from "./html.js";
import type { PageData } from "./page-data.js";
import { PAGE_SCRIPT } from "./page-script.js";
import { PAGE_STYLE } from "./style.js";

/** Parts of a page. */
export interface Page {
  readonly title: string;
  /** Markup. */
  readonly body: string;
  readonly data: PageData;
}

/**
 * One HTML file that needs nothing but itself, its charts drawn by its script.
 * @throws DataError if uPlot, which is put into the page, is not installed.
 */
export async function renderPage({ title, body, data }: Page): Promise<string> {
  const library = await readPackageText("uplot", "dist/uPlot.iife.min.js");
  const libraryStyle = await readPackageText("uplot", "dist/uPlot.min.css");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy([library, PAGE_SCRIPT], data)}">
<title>${escapeHtml(title)}</title>
<style>${libraryStyle}${PAGE_STYLE}</style>
</head>
<body>
<main>
${body}
</main>
<script id="page-data" type="application/json">${escapeJson(data)}</script>
<script>${library}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

/** A part of a page in which its script draws the chart of this number. */
export function chartCard({ title, note }: Chart, index: number): string {
  return card(title, note, `<div id="chart-${index}" class="chart"></div>`);
}

/** Allows these scripts and no other, and nothing to be fetched but the events of a live page. */
function policy(scripts: readonly string[], { events }: PageData): string {
  const hashes = scripts.map((script) => `'sha256-${base64(sha256(new TextEncoder().encode(script)))}'`);
  const connect = events === null ? "" : "; connect-src 'self'";
  return `default-src 'none'; style-src 'unsafe-inline'; script-src ${hashes.join(" ")}; base-uri 'none'${connect}`;
}

function base64(hex: string): string {
  return btoa(hex.replace(/../g, (byte) => String.fromCharCode(Number.parseInt(byte, 16))));
}
