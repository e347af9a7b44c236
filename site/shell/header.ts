import { existsSync } from "node:fs";

/** The parts of the site in the order of its header, by their folders. */
const PARTS = [
  ["train/", "Train"],
  ["idea/", "The idea"],
  ["docs/", "Docs"],
  ["api/", "API"],
] as const;

/** Whether a part is there: one with code of its own has a page here, the others are made of the repository. */
export function hasPart(folder: string): boolean {
  return !["train/", "idea/"].includes(folder) || existsSync(new URL(`../${folder}index.html`, import.meta.url));
}

/**
 * The header that all pages share.
 * @param top the way from the page to the top of the site, such as `../`.
 * @param current the folder of the part that the page belongs to.
 * @param tools what stands beside the links, such as a search.
 */
export function siteHeader(top: string, current: string, tools = ""): string {
  const links = PARTS.filter(([folder]) => hasPart(folder)).map(([folder, name]) => {
    const mark = folder === current ? ' aria-current="page"' : "";
    return `<a href="${top}${folder}index.html"${mark}>${name}</a>`;
  });
  return `<a class="skip" href="#main">Skip to the content</a>
<header class="site">
  <a class="home" href="${top}index.html">highrank</a>
  <nav aria-label="Site">${links.join("")}</nav>
  ${tools}
</header>`;
}
