import { readFileSync } from "node:fs";
import MarkdownIt from "markdown-it";
import anchor from "markdown-it-anchor";
import { createHighlighter, type Highlighter } from "shiki";
import { wholePage } from "../../../scripts/notebook-page.js";
import { cellHtml } from "./cell-html.ts";

const FIGURE = /^<!-- figure: (\w+) -->$/m;
/** The start of a section of text, which the figures are not. */
const SECTION = /<h2 id="[^"]*" tabindex/;
/** A cell right above what it prints. */
const PRINTED = /^```ts\n((?:(?!```).*\n)*)```\n\n```text\n((?:(?!```).*\n)*)```$/gm;

/** The content of the page: sections of the docs and the notebook's own text, its cells, and figures between them. */
export async function ideaContent(): Promise<string> {
  const highlighter = await createHighlighter({
    themes: ["github-light-high-contrast", "github-dark-high-contrast"],
    langs: ["ts"],
  });
  const markdown = renderer(highlighter);
  // What a cell prints goes with it.
  const page = wholePage("site").replace(
    PRINTED,
    (_, code: string, printed: string) => `\`\`\`ts ${encodeURIComponent(printed)}\n${code}\`\`\``,
  );
  const html = page
    .split(FIGURE)
    .map((part, i) => (i % 2 === 0 ? markdown.render(part) : figureHtml(part)))
    .join("");
  return html.replace(SECTION, (start) => contentsOf(html) + start);
}

/** Links to the sections and figures. */
function contentsOf(html: string): string {
  const headings = [...html.matchAll(/<h[23] id="(.*?)".*?>(.*?)<\/h[23]>/g)];
  const links = headings.map(([, id, heading]) => `<li><a href="#${id}">${heading}</a></li>`);
  return `<nav class="contents" aria-label="On this page"><ul>${links.join("")}</ul></nav>\n`;
}

function figureHtml(name: string): string {
  return readFileSync(new URL(`../figures/${name}.html`, import.meta.url), "utf8");
}

function renderer(highlighter: Highlighter): InstanceType<typeof MarkdownIt> {
  const markdown = new MarkdownIt({ typographer: false }).use(anchor, { slugify: slug });
  const { rules } = markdown.renderer;
  let cells = 0;
  rules.fence = (tokens, i) => {
    const { info, content } = tokens[i]!;
    const [language, printed] = info.split(" ");
    return language === "ts"
      ? cellHtml(highlighter, ++cells, content, printed && decodeURIComponent(printed))
      : `<pre class="plain">${markdown.utils.escapeHtml(content)}</pre>`;
  };
  // Mathematics is indented. Wide gaps stand between formulas that share a line.
  rules.code_block = (tokens, i) => {
    const formulas = tokens[i]!.content.trim().split(/ {4,}|\n/);
    return `<p class="formula">${formulas.map((each) => `<span>${markdown.utils.escapeHtml(each)}</span>`).join(" ")}</p>`;
  };
  rules.table_open = (tokens, i) => {
    const above = tokens.slice(0, i).findLastIndex(({ type }) => type === "heading_open");
    return `<section class="scroll" aria-label="Table: ${tokens[above + 1]!.content}"><table>`;
  };
  rules.table_close = () => "</table></section>";
  rules.link_open = (tokens, i, options, _, self) => {
    const token = tokens[i]!;
    const target = siteLink(`${token.attrGet("href")}`);
    if (target !== undefined) token.attrSet("href", target);
    else token.attrs = null; // a file that is no page of the site
    return self.renderToken(tokens, i, options);
  };
  return markdown;
}

/** A link as from notebooks/ to what the site has in its place. */
function siteLink(href: string): string | undefined {
  if (/^(https?:|#)/.test(href)) return href;
  const [, page, section = ""] = /^\.\.\/docs\/([\w-]+)\.md(#.*)?$/.exec(href) ?? [];
  return page === undefined ? undefined : `../docs/${page}.html${section}`;
}

/** The name of a heading for links, as on GitHub. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}_\- ]/gu, "")
    .replaceAll(" ", "-");
}
