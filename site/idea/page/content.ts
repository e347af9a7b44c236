import { readFileSync } from "node:fs";
import MarkdownIt from "markdown-it";
import anchor from "markdown-it-anchor";
import { createHighlighter, type Highlighter } from "shiki";
import { wholePage } from "../../../scripts/notebook-page.js";
import { cellHtml } from "./cell-html.ts";

const FIGURE = /^<!-- figure: (\w+) -->$/m;
const PRINTED = /(^```ts\n.*?^```\n)\n```text\n(.*?)^```$/gms;

/** The content of the page: sections of the docs and the notebook's own text, its cells, and figures between them. */
export async function ideaContent(): Promise<string> {
  const highlighter = await createHighlighter({
    themes: ["github-light-high-contrast", "github-dark-high-contrast"],
    langs: ["ts", "sh"],
  });
  const markdown = renderer(highlighter);
  // What a cell prints goes with it.
  const page = wholePage("site").replace(PRINTED, (_, cell: string, printed: string) =>
    cell.replace("```ts\n", `\`\`\`ts ${encodeURIComponent(printed)}\n`),
  );
  const [title, ...sections] = page.split(/^(?=## )/m);
  const text = [title!, contentsOf(sections), ...sections].join("");
  return text
    .split(FIGURE)
    .map((part, i) => (i % 2 === 0 ? markdown.render(part) : figureHtml(part)))
    .join("");
}

/** A list of links to the sections. */
function contentsOf(sections: readonly string[]): string {
  const links = sections.map((section) => {
    const [, heading] = /^## (.*)$/m.exec(section)!;
    return `- [${heading}](#${slug(heading!)})`;
  });
  return `${links.join("\n")}\n\n`;
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
      ? cellHtml(highlighter, ++cells, content, printed === undefined ? undefined : decodeURIComponent(printed))
      : `<pre class="plain">${markdown.utils.escapeHtml(content)}</pre>`;
  };
  // Mathematics is indented. Wide gaps stand between formulas that share a line.
  rules.code_block = (tokens, i) => {
    const formulas = tokens[i]!.content.trim().split(/ {4,}|\n/);
    return `<p class="formula">${formulas.map((each) => `<span>${markdown.utils.escapeHtml(each)}</span>`).join(" ")}</p>`;
  };
  rules.table_open = () => '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>';
  rules.table_close = () => "</table></div>";
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
