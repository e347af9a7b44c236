import { siteHeader } from "../shell/header.ts";
import { topOf } from "./places.ts";

/** The script and styles of all pages that are made here, from the top of the site. */
export interface Assets {
  readonly script: string;
  readonly styles: readonly string[];
}

export interface Page {
  /** Where it lies, from the top of the site, such as `docs/data.html`. */
  readonly place: string;
  readonly title: string;
  /** The content of its body, header excluded. */
  readonly body: string;
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** A box that lists pages while one types; the script of the pages shows it. */
function search(top: string): string {
  return `<search hidden data-index="${top}search.json">
    <input type="search" role="combobox" aria-label="Search docs and API" aria-expanded="false" aria-controls="found"
      aria-autocomplete="list" aria-keyshortcuts="/" placeholder="Search  /" autocomplete="off" spellcheck="false">
    <div id="found" role="listbox" aria-label="Found" hidden></div>
    <span class="unseen" role="status"></span>
  </search>`;
}

/** A whole page. */
export function layOut({ place, title, body }: Page, { script, styles }: Assets): string {
  const top = topOf(place);
  const part = /^(docs|source)\//.test(place) ? "docs/" : "";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title === "highrank" ? title : `${title} – highrank`)}</title>
${styles.map((style) => `<link rel="stylesheet" href="${top}${style}">`).join("\n")}
<link rel="icon" href="data:,">
<script type="module" src="${top}${script}"></script>
</head>
<body>
${siteHeader(top, part, search(top))}
${body}
</body>
</html>
`;
}
