import { posix } from "node:path";

/** Files of the repository with a name of their own on the site. */
const PLACES: Readonly<Record<string, string>> = {
  "README.md": "docs/index.html",
  "CONTRIBUTING.md": "docs/contributing.html",
  "CHANGELOG.md": "docs/changes.html",
  "bench/README.md": "docs/benchmarks.html",
  "notebooks/low-rank-adapters.ipynb": "docs/notebook.html",
};

/**
 * Where the site has a file or folder of the repository: docs as pages, their pictures and reports as they are, all
 * else as the page of a source.
 * @param path from the root of the repository.
 */
export function placeOf(path: string, isFolder: boolean): string {
  if (PLACES[path] !== undefined) return PLACES[path];
  if (isFolder) return `source/${path}/index.html`;
  if (!path.startsWith("docs/")) return `source/${path}.html`;
  return path.replace(/\.md$/, ".html");
}

/** A link from a page to a place, both from the top of the site. */
export function linkBetween(page: string, place: string): string {
  return posix.relative(posix.dirname(page), place);
}

/** The way from a page to the top of the site, such as `../`. */
export function topOf(page: string): string {
  return "../".repeat(page.split("/").length - 1);
}
