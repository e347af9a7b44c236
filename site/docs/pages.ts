import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { CONTENTS } from "./contents.ts";
import { type Page, withColumns } from "./layout.ts";
import { highlight, notebookText, type Relink, render, type Section } from "./markdown.ts";
import { linkBetween, placeOf } from "./places.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What people look for in the docs. */
export interface Text {
  readonly place: string;
  readonly page: string;
  readonly sections: readonly Section[];
}

export interface Docs {
  readonly pages: readonly Page[];
  /** Files that are served as they are: pictures and reports, by their place. */
  readonly files: ReadonlyMap<string, string>;
  readonly texts: readonly Text[];
}

const isFolder = (file: string): boolean => statSync(ROOT + file).isDirectory();
const isText = (file: string): boolean => /\.(md|ipynb)$/.test(file);

/** All pages of the list of contents, and of all files and folders that any of them leads to. */
export function docsPages(): Docs {
  const pages: Page[] = [];
  const texts: Text[] = [];
  const files = new Map<string, string>();
  const listed = new Map(CONTENTS.flatMap(([, entries]) => entries));
  for (const name of readdirSync(`${ROOT}docs`)) {
    if (name.endsWith(".md") && !listed.has(`docs/${name}`)) {
      throw new Error(`site/docs/contents.ts must list docs/${name}, so that people find it.`);
    }
  }
  // The set grows while it is gone through.
  const reached = new Set(listed.keys());
  for (const file of reached) {
    const place = placeOf(file, isFolder(file));
    const relink = relinkFrom(file, place, (found) => reached.add(found));
    if (isText(file)) {
      const { html, sections } = render(textOf(file), relink);
      const title = sections[0]?.title ?? file;
      pages.push({ place, title, body: docsBody(file, html, sections) });
      texts.push({ place, page: listed.get(file) ?? title, sections });
    } else if (isFolder(file)) {
      pages.push({ place, title: file, body: folderBody(file, relink) });
    } else if (place === file) {
      files.set(place, ROOT + file);
    } else {
      pages.push({ place, title: file, body: sourceBody(file) });
    }
  }
  return { pages, files, texts };
}

const textOf = (file: string): string =>
  file.endsWith(".ipynb") ? notebookText(ROOT + file) : readFileSync(ROOT + file, "utf8");

/** Links of a file lead to the places of what they name, which thereby becomes part of the site. */
function relinkFrom(file: string, place: string, reach: (file: string) => void): Relink {
  return (link) => {
    const [path, anchor] = link.split("#") as [string, string?];
    const target = posix.join(isFolder(file) ? file : posix.dirname(file), path).replace(/\/$/, "");
    if (!existsSync(ROOT + target)) throw new Error(`${file} links to ${link}, which does not exist.`);
    reach(target);
    return linkBetween(place, placeOf(target, isFolder(target))) + (anchor === undefined ? "" : `#${anchor}`);
  };
}

function docsBody(file: string, main: string, sections: readonly Section[] = []): string {
  const place = placeOf(file, isFolder(file));
  const groups = CONTENTS.map(([group, entries]) => {
    const links = entries.map(([to, name]) => [linkBetween(place, placeOf(to, isFolder(to))), name] as const);
    return [group, links] as const;
  });
  const parts = sections.filter(({ level }) => level === 2);
  const outline = parts.map(({ anchor, title }) => [`#${anchor}`, title] as const);
  return withColumns(place, { list: { label: "Docs", groups }, main, outline });
}

const HIDDEN = /^(\.|node_modules$|dist$|package-lock\.json$)/;

function folderBody(folder: string, relink: Relink): string {
  const items = readdirSync(ROOT + folder)
    .filter((name) => !HIDDEN.test(name))
    .map((name) => `<li><a href="${relink(name)}">${name}${isFolder(`${folder}/${name}`) ? "/" : ""}</a></li>`);
  return docsBody(folder, `<h1>${folder}/</h1>\n<ul>${items.join("")}</ul>`);
}

function sourceBody(file: string): string {
  const code = readFileSync(ROOT + file, "utf8");
  return docsBody(file, `<h1>${file}</h1>\n${highlight(code, posix.extname(file).slice(1))}`);
}
