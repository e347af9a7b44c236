import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PAGES = [
  ...readdirSync(ROOT),
  ...["bench", "docs", "examples", "tests"].flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`),
  ),
].filter((name) => name.endsWith(".md") && !name.includes("node_modules"));

const CODE_SPAN = /(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)/g;
/** Code spans that name a file of the project: from its root, or for sources from src/. */
const PATH = /^(?:(?:bench|docs|examples|scripts|src|tests)\/[\w./-]*|[\w-]+\/[\w./-]+\.ts)$/;

interface Block {
  /** Of its first line, from 1. */
  readonly line: number;
  readonly lines: string[];
}

/** Headings, table rows, list items and paragraphs, without code blocks. An unclosed fence is a block too. */
function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let paragraph: Block | undefined;
  let fence: Block | undefined;
  for (const [i, line] of text.split("\n").entries()) {
    const block = { line: i + 1, lines: [line] };
    const isFence = /^\s*```/.test(line);
    if (isFence) fence = fence === undefined ? block : undefined;
    if (isFence || fence !== undefined || line.trim() === "") {
      paragraph = undefined;
    } else if (paragraph !== undefined && !/^\s*(?:[-*] |\d+\. |#|\|)/.test(line)) {
      paragraph.lines.push(line);
    } else if (paragraph !== undefined || !line.startsWith("    ")) {
      blocks.push(block);
      paragraph = /^[#|]/.test(line) ? undefined : block;
    }
  }
  return fence === undefined ? blocks : [...blocks, fence];
}

/** The names that GitHub gives the headings of a page, for links to them. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const { lines } of blocksOf(text)) {
    const [, heading] = /^#+ (.*)/.exec(lines[0]!) ?? [];
    if (heading === undefined) continue;
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{M}\p{N}_\- ]/gu, "")
      .replaceAll(" ", "-");
    let unique = anchor;
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`;
    anchors.add(unique);
  }
  return anchors;
}

function linkFault(page: string, text: string, link: string): string | undefined {
  if (/^https?:/.test(link)) return undefined;
  const [file, anchor] = link.split("#") as [string, string?];
  const target = file === "" ? page : path.join(path.dirname(page), file);
  if (file !== "" && !existsSync(path.join(ROOT, target))) return `links to ${target}, which does not exist`;
  if (anchor === undefined) return undefined;
  const anchors = anchorsOf(file === "" ? text : readFileSync(path.join(ROOT, target), "utf8"));
  return anchors.has(anchor) ? undefined : `links to #${anchor}, which ${target} does not have`;
}

/** Everything wrong with a page, each with its line. */
function faultsOf(page: string, text: string): string[] {
  return blocksOf(text).flatMap(({ line, lines }) => {
    const block = lines.join(" ");
    const prose = block.replace(CODE_SPAN, "");
    const paths = [...block.matchAll(CODE_SPAN)].map((match) => match[2]!).filter((code) => PATH.test(code));
    const missing = paths.filter(
      (name) => !name.includes("NAME") && !["", "src"].some((folder) => existsSync(path.join(ROOT, folder, name))),
    );
    const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => linkFault(page, text, match[1]!));
    return [
      prose.includes("`") && "code is not closed",
      lines.length > 1 && "a paragraph is more than one line",
      ...missing.map((name) => `names ${name}, which does not exist`),
      ...links,
    ].flatMap((fault) => (fault ? [`${page}:${line}: ${fault}`] : []));
  });
}

test.each([
  ["Text of `code\n\nthat `ends` elsewhere.", "code is not closed"],
  ["```sh\nls", "code is not closed"],
  ["One thought\nin two lines.", "a paragraph is more than one line"],
  ["- An item\n  in two lines.", "a paragraph is more than one line"],
  ["See `src/no/such.ts`.", "names src/no/such.ts, which does not exist"],
  ["See `no/such.ts`.", "names no/such.ts, which does not exist"],
  ["See [it](no-such.md).", "links to docs/no-such.md, which does not exist"],
  ["See [it](data.md#no-such).", "links to #no-such, which docs/data.md does not have"],
])("%j is refused", (text, fault) => {
  expect(faultsOf("docs/page.md", text)).toEqual([`docs/page.md:1: ${fault}`]);
});

test("code blocks, tables, lists and links that hold are accepted", () => {
  const page = [
    "# One `thing`",
    "As [above](#one-thing), and [below](data.md#rows), in `src/index.ts`:",
    "    a command\n    and another",
    "- a\n- b",
    "| a |\n|---|\n| b |",
    "```sh\na command\nand another\n```",
  ].join("\n\n");
  expect(faultsOf("docs/page.md", page)).toEqual([]);
});

test.each(PAGES)("%s: links, paths, code and paragraphs are whole", (page) => {
  expect(faultsOf(page, readFileSync(path.join(ROOT, page), "utf8"))).toEqual([]);
});
