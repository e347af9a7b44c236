/** The parts of the site in the order of its header, by their folders. */
const PARTS = [
  ["train/", "Train"],
  ["idea/", "The idea"],
  ["docs/", "Docs"],
  ["api/", "API"],
] as const;

/**
 * The header that all pages share.
 * @param top the way from the page to the top of the site, such as `../`.
 * @param current the folder of the part that the page belongs to.
 * @param tools what stands beside the links, such as a search.
 */
export function siteHeader(top: string, current: string, tools = ""): string {
  const links = PARTS.map(([folder, name]) => {
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
