// The page of notebooks/ with the sections of docs/ that it names: one source for the notebook and for the site.
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PAGE = path.join(ROOT, "notebooks/low-rank-adapters.md");

/** What the page holds for a notebook alone and for a site alone, and the places of the figures that a site has. */
const IN_JUPYTER = /^<!-- in Jupyter -->\n(.*?)^<!-- end -->\n/gms;
const ON_THE_SITE = /^<!-- on the site\n(.*?)^-->\n/gms;
const FIGURE = /^<!-- figure: .* -->\n\n/gm;

/** As notebook-page.d.ts says. Links are as from notebooks/; the outputs of a notebook's cells are its own. */
export function wholePage(use) {
  const page = readFileSync(PAGE, "utf8").replace(/^<!-- (docs\/\S+\.md): (.*) -->$/gm, (_, file, titles) =>
    titles
      .split(" | ")
      .map((title) => sectionOf(file, title))
      .join("\n\n"),
  );
  if (use === "site") return page.replace(IN_JUPYTER, "").replace(ON_THE_SITE, "$1");
  return page
    .replace(IN_JUPYTER, "$1")
    .replace(ON_THE_SITE, "")
    .replace(FIGURE, "")
    .replace(/(^```ts\n.*?^```\n)\n^```text\n.*?^```\n/gms, "$1");
}

/** A section of a page, with its links as they are from notebooks/. */
function sectionOf(file, title) {
  const text = readFileSync(path.join(ROOT, file), "utf8");
  const section = text.split(/^(?=## )/m).find((each) => each.startsWith(`## ${title}\n`));
  if (section === undefined) throw new Error(`${PAGE}: ${file} has no section "${title}"`);
  return section
    .replace(
      /\]\((#|(?!https?:|\.\.\/)(?=\S+\.md))/g,
      (_, hash) => `](../docs/${hash ? `${path.basename(file)}#` : ""}`,
    )
    .trim();
}
