import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";

/** What a page says of links: the anchors that it has, what it loads, and where it leads. */
interface Links {
  readonly anchors: ReadonlySet<string>;
  readonly loads: readonly string[];
  readonly leads: readonly string[];
}

const TAG = /<([a-z][\w-]*)((?:\s+[^\s"'>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?)*)\s*\/?>/gi;
const ATTRIBUTE = /([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/g;

const unescapeHtml = (text: string): string =>
  text.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&amp;", "&");

/** Reads a page. The text of scripts and styles has no tags. */
function linksOf(html: string): Links {
  const anchors = new Set<string>();
  const [loads, leads]: [string[], string[]] = [[], []];
  const markup = html.replace(/(<(script|style)\b[^>]*>)[\s\S]*?<\/\2>|<!--[\s\S]*?-->/gi, "$1");
  for (const [, tag = "", rest = ""] of markup.matchAll(TAG)) {
    for (const [, name = "", ...values] of rest.matchAll(ATTRIBUTE)) {
      const value = unescapeHtml(values.find((one) => one !== undefined) ?? "");
      const isLink = name === "href" || name === "xlink:href";
      if (name === "id" || (name === "name" && tag === "a")) anchors.add(value);
      else if (name === "src" || name === "poster" || (isLink && !/^(a|area)$/i.test(tag))) loads.push(value);
      else if (isLink) leads.push(value);
    }
  }
  return { anchors, loads, leads };
}

/**
 * Checks every link of a folder of pages, and what its styles load.
 * @returns a sentence for each that leads nowhere, and for each thing that a page would load from another origin.
 */
export function linkFaults(site: string): string[] {
  const files = readdirSync(site, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(site, posix.join(entry.parentPath, entry.name)));
  const there = new Set(files);
  const read = (file: string): string => readFileSync(posix.join(site, file), "utf8");
  const pages = new Map(files.filter((file) => /\.(html|svg)$/.test(file)).map((file) => [file, linksOf(read(file))]));
  const faults: string[] = [];
  for (const [page, { anchors, loads, leads }] of pages) {
    const check = (link: string): void => {
      const [path = "", anchor = ""] = decodeURI(link)
        .replace(/\?[^#]*/, "")
        .split("#");
      const target = path === "" ? page : posix.join(posix.dirname(page), path);
      if (path.startsWith("/")) faults.push(`${page}: ${link} holds only at the top of a host.`);
      else if (!there.has(target)) faults.push(`${page}: ${link} leads to ${target}, which is not there.`);
      else if (anchor !== "" && !(path === "" ? anchors : (pages.get(target)?.anchors ?? anchors)).has(anchor)) {
        faults.push(`${page}: ${link} leads to #${anchor}, which ${target} does not have.`);
      }
    };
    for (const link of loads) {
      if (/^([a-z]+:)?\/\//i.test(link)) faults.push(`${page}: loads ${link} from another origin.`);
      else if (!/^(data|blob):/.test(link)) check(link);
    }
    for (const link of leads) if (!/^[a-z]+:/i.test(link)) check(link);
  }
  for (const file of files.filter((name) => name.endsWith(".css"))) {
    for (const [, link = ""] of read(file).matchAll(/(?:url\(\s*|@import\s+)["']?([^"')]+)/g)) {
      if (/^([a-z]+:)?\/\//i.test(link)) faults.push(`${file}: loads ${link} from another origin.`);
    }
  }
  return faults;
}
