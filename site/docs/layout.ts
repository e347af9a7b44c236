import { posix } from "node:path";
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
    <div id="found" class="found" role="listbox" aria-label="Found" hidden></div>
    <span class="unseen" role="status"></span>
  </search>`;
}

/** A link and its text. */
export type Link = readonly [href: string, text: string];

export interface Columns {
  /** Where else to go: a column, or on narrow screens a list behind a button. */
  readonly list: {
    readonly label: string;
    readonly groups: readonly (readonly [name: string, links: readonly Link[]])[];
  };
  readonly main: string;
  /** Links to the parts of the page. */
  readonly outline: readonly Link[];
}

function items(links: readonly Link[], current?: string): string {
  const all = links.map(([href, text]) => {
    const mark = href === current ? ' aria-current="page"' : "";
    return `<li><a href="${href}"${mark}>${escapeHtml(text)}</a></li>`;
  });
  return `<ul>${all.join("")}</ul>`;
}

/**
 * The content of a page between a list of all pages and an outline.
 * @param place of the page, which is marked in the list.
 */
export function withColumns(place: string, { list, main, outline }: Columns): string {
  const groups = list.groups.map(([name, links]) => `<h2>${name}</h2>\n${items(links, posix.basename(place))}`);
  const parts = `<nav class="outline" aria-labelledby="outline">
<h2 id="outline">On this page</h2>
${items(outline)}
</nav>`;
  return `<div class="docs">
<button class="contents" popovertarget="contents">All pages</button>
<nav id="contents" class="pages" popover aria-label="${list.label}">
${groups.join("\n")}
</nav>
<main id="main">
${main}
</main>
${outline.length > 1 ? parts : ""}
</div>`;
}

/** A whole page. */
export function layOut({ place, title, body }: Page, { script, styles }: Assets): string {
  const top = topOf(place);
  const [part = ""] = /^(docs|api)\//.exec(place.replace("source/", "docs/")) ?? [];
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
