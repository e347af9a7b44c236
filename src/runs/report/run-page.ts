import { card, escapeHtml } from "./html.js";
import { renderPage } from "./page.js";
import type { RunData, Sections } from "./page-data.js";

/** A page of runs: a report, with the markup of its one run, or a live page, which hears of its runs by events. */
export interface RunPage {
  readonly title: string;
  /** In a word or a few. */
  readonly state: string;
  readonly runs: readonly RunData[];
  readonly sections: Sections;
  readonly events: string | null;
}

export const NO_SECTIONS: Sections = { warnings: "", facts: "", samples: "", summary: "", tables: "", settings: "" };

/** @throws DataError as `renderPage`. */
export function renderRunPage({ runs, events, ...page }: RunPage): Promise<string> {
  return renderPage({ title: page.title, body: runPageBody(page), data: { charts: [], runs, events } });
}

/** The markup that the page's script fills, for any page that has the script. */
export function runPageBody({ title, state, sections }: Pick<RunPage, "title" | "state" | "sections">): string {
  const part = (name: keyof Sections, tag = "div"): string => `<${tag} id="${name}">${sections[name]}</${tag}>`;
  const samples = `<div id="samples" class="scroll-down" role="region" aria-label="Samples" tabindex="0">${sections.samples}</div>`;
  return `<header>
<h1 id="title">${escapeHtml(title)}</h1>
<p id="state" role="status">${escapeHtml(state)}</p>
</header>
<p id="connection" role="alert"></p>
<p id="note"></p>
${part("warnings", "ul")}
<div id="choice" hidden></div>
${part("facts", "dl")}
<div id="controls" role="toolbar" aria-label="Curves"></div>
<p id="said" class="hidden" aria-live="polite"></p>
<div class="first">
<div id="loss"></div>
${card("Samples", "", samples)}
</div>
<section id="runs" class="card" hidden><h2>Runs</h2><div id="run-list"></div></section>
<div id="differences"></div>
<div id="curves" class="charts"></div>
${card("Summary", "", part("summary"))}
<div id="charts" class="charts"></div>
${part("tables")}
<details class="card"><summary>Settings</summary>${part("settings")}</details>`;
}
