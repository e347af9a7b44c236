import { readFileSync } from "node:fs";
import MarkdownIt, { type Token } from "markdown-it";
import anchor from "markdown-it-anchor";
import { createHighlighter, type ShikiTransformer } from "shiki";

/** A heading with the text below it, up to the next. */
export interface Section {
  readonly anchor: string;
  readonly title: string;
  /** 1 is the page's title. */
  readonly level: number;
  text: string;
}

export interface Rendered {
  readonly html: string;
  readonly sections: readonly Section[];
}

/** Turns a link of a file into one of its page. */
export type Relink = (link: string) => string;

const LANGUAGES = ["console", "csv", "html", "js", "json", "jsonl", "python", "sh", "text", "ts", "tsv", "yaml"];
const THEMES = { light: "github-light-default", dark: "github-dark-default" } as const;

const highlighter = await createHighlighter({ themes: Object.values(THEMES), langs: LANGUAGES });

/** Classes of code by the style that each stands for: thousands of words share a dozen of colors. */
const classes = new Map<string, string>();

const STYLES_AS_CLASSES: ShikiTransformer = {
  pre(node) {
    delete node.properties.style; // the page's own colors
  },
  span(node) {
    const style = String(node.properties.style ?? "");
    if (!classes.has(style)) classes.set(style, `c${classes.size}`);
    node.properties.class = classes.get(style)!;
    delete node.properties.style;
  },
};

/** Code that was highlighted: some stands on several pages, and a server asks for it again and again. */
const highlighted = new Map<string, string>();

/** Code as markup with colors. A language that is not known stays as it is. */
export function highlight(code: string, language: string): string {
  const key = `${language}\n${code}`;
  if (!highlighted.has(key)) highlighted.set(key, colored(code, language));
  return highlighted.get(key)!;
}

function colored(code: string, language: string): string {
  return highlighter.codeToHtml(code.replace(/\n$/, ""), {
    lang: highlighter.getLoadedLanguages().includes(language) ? language : "text",
    themes: THEMES,
    defaultColor: "light-dark()",
    transformers: [STYLES_AS_CLASSES],
  });
}

/** The rules for all code that was highlighted until now. */
export function codeStyles(): string {
  return [...classes].map(([style, name]) => `.${name}{${style}}`).join("\n");
}

/** As GitHub names a heading, for links to it. */
function slugify(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}_\- ]/gu, "")
    .replaceAll(" ", "-");
}

/** The text of a heading or paragraph, code spans included. */
const textOf = (token: Token): string =>
  (token.children ?? []).map(({ type, content }) => (type === "softbreak" ? " " : content)).join("");

const markdown = new MarkdownIt({ highlight }).use(anchor, {
  slugify,
  uniqueSlugStartIndex: 1,
  tabIndex: false,
  // For the mouse; its sign comes by CSS and is no part of the title.
  permalink: anchor.permalink.linkInsideHeader({
    symbol: "",
    space: false,
    class: "anchor",
    ariaHidden: true,
    renderAttrs: () => ({ tabindex: "-1" }),
  }),
});
const isLink = markdown.validateLink;
markdown.validateLink = (link) => isLink(link) || link.startsWith("data:image/svg+xml;base64,"); // of notebooks
markdown.renderer.rules.code_block = (tokens, i) => highlight(tokens[i]!.content, "text");
// Wide tables scroll by themselves, also by keyboard.
markdown.renderer.rules.table_open = () => '<div class="table" tabindex="0" role="group" aria-label="Table"><table>';
markdown.renderer.rules.table_close = () => "</table></div>";

/** Renders Markdown; every link and every picture goes through `relink`. */
export function render(text: string, relink: Relink): Rendered {
  const tokens = markdown.parse(text, {});
  const sections: Section[] = [];
  for (const [i, token] of tokens.entries()) {
    if (token.type === "heading_open") {
      const level = Number(token.tag.slice(1));
      sections.push({ anchor: String(token.attrGet("id")), title: textOf(tokens[i + 1]!).trim(), level, text: "" });
    } else if (token.type === "inline" && tokens[i - 1]?.type !== "heading_open") {
      const section = sections.at(-1);
      if (section !== undefined) section.text += `${textOf(token)} `;
    }
    // An empty cell is no header of anything.
    if (token.type === "th_open" && tokens[i + 1]!.content === "") token.tag = tokens[i + 2]!.tag = "td";
    for (const child of token.children ?? []) {
      for (const name of ["href", "src"]) {
        const link = child.attrGet(name);
        if (typeof link === "string" && !/^([a-z]+:|#)/.test(link)) child.attrSet(name, relink(link));
      }
    }
  }
  return { html: markdown.renderer.render(tokens, markdown.options, {}), sections };
}

interface Notebook {
  readonly cells: readonly {
    readonly cell_type: string;
    readonly source: string | readonly string[];
    readonly outputs?: readonly {
      readonly text?: string | readonly string[];
      readonly data?: Readonly<Record<string, string | readonly string[]>>;
    }[];
  }[];
}

/** A notebook as Markdown: its text, its code, and what this printed and drew. */
export function notebookText(file: string): string {
  const { cells } = JSON.parse(readFileSync(file, "utf8")) as Notebook;
  const whole = (lines: string | readonly string[] = ""): string =>
    typeof lines === "string" ? lines : lines.join("");
  const fenced = (language: string, text: string): string => `\`\`\`${language}\n${text.replace(/\n$/, "")}\n\`\`\``;
  const parts = cells.flatMap(({ cell_type, source, outputs = [] }) => {
    if (cell_type === "markdown") return [whole(source)];
    const printed = outputs.map(({ text }) => whole(text)).join("");
    const drawn = outputs.flatMap(({ data }) => whole(data?.["image/svg+xml"]) || []);
    return [
      fenced("ts", whole(source)),
      ...(printed === "" ? [] : [fenced("text", printed)]),
      ...drawn.map(
        (svg) => `![What the code above draws](data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")})`,
      ),
    ];
  });
  return parts.join("\n\n");
}
