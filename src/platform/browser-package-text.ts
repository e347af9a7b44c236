import { DataError } from "../base/errors.js";

/** Texts of dependencies that the build puts beside the modules, where bundlers find them. */
const TEXTS: Readonly<Record<string, URL>> = {
  "uplot/dist/uPlot.iife.min.js": new URL("../assets/uPlot.iife.min.js.txt", import.meta.url),
  "uplot/dist/uPlot.min.css": new URL("../assets/uPlot.min.css.txt", import.meta.url),
};

/** A text in a dependency. @throws DataError for one that is not there. */
export async function readPackageText(packageName: string, relativePath: string): Promise<string> {
  const name = `${packageName}/${relativePath}`;
  const url = TEXTS[name];
  if (url === undefined) throw new DataError(`${name} is not there in a browser; name data of your own`);
  const answer = await fetch(url);
  if (!answer.ok) throw new DataError(`cannot read ${url}: the server answers ${answer.status}; build the page again`);
  return answer.text();
}
