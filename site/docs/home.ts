import { readFileSync } from "node:fs";
import type { Page } from "./layout.ts";
import { render } from "./markdown.ts";
import { linkBetween, placeOf } from "./places.ts";

const DOORS = [
  ["train/", "Train in this page", "A small model learns in your browser, with nothing installed and nothing sent."],
  ["idea/", "The idea", "Low rank, merged again and again, reaches high rank: move it and see."],
  ["docs/", "Docs", "From the first command to every setting, and what was measured."],
] as const;

/** The first page: what the README says first, and the doors to all else. */
export function homePage(): Page {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const opening = readme.slice(readme.indexOf("\n"), readme.indexOf("\n## ")).trim();
  const relink = (link: string): string => linkBetween("index.html", placeOf(link, !/\.\w+$/.test(link)));
  const [what = "", ...how] = opening.split("\n\n");
  const doors = DOORS.map(
    ([folder, name, text]) => `<li><a href="${folder}index.html"><strong>${name}</strong> ${text}</a></li>`,
  );
  const body = `<main id="main" class="front">
<h1>highrank</h1>
<div class="lead">${render(what, relink).html}</div>
<ul class="doors">${doors.join("")}</ul>
<h2>In a few lines</h2>
${render(how.join("\n\n"), relink).html}
</main>`;
  return { place: "index.html", title: "highrank", body };
}
