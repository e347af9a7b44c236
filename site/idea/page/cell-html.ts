import type { Highlighter } from "shiki";

/** A cell of code that can be changed and run. @param printed what the docs say that it prints. */
export function cellHtml(highlighter: Highlighter, number: number, code: string, printed: string | undefined): string {
  const themes = { light: "github-light-high-contrast", dark: "github-dark-high-contrast" };
  const highlighted = highlighter.codeToHtml(code.trimEnd(), { lang: "ts", themes, defaultColor: false });
  const [, lines] = /<code>(.*)<\/code>/s.exec(highlighted)!;
  const editable = `contenteditable="plaintext-only" tabindex="0" spellcheck="false" role="textbox" aria-multiline="true"`;
  const defines = /^function /m.test(code) ? " data-defines" : "";
  return `<section class="cell" id="cell-${number}" aria-label="Cell ${number}"${defines}>
<pre class="code" ${editable} aria-label="Code of cell ${number}, which can be changed">${lines}</pre>
<div class="bar"><button type="button" class="run" aria-label="Run cell ${number}">Run</button><button type="button" class="original" hidden>Original code</button><span class="state" role="status">${printed === undefined ? "" : "should print what stands below"}</span></div>
<div class="printed" role="group" aria-label="Output of cell ${number}"${printed === undefined ? " hidden" : ""}><pre class="output">${escaped(printed ?? "")}</pre></div>
</section>
`;
}

function escaped(text: string): string {
  return text.trimEnd().replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
