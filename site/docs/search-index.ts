import MiniSearch from "minisearch";
import type { Text } from "./pages.ts";
import { type Hit, OPTIONS } from "./search-options.ts";

/** A name of the API. */
export interface ApiName {
  readonly name: string;
  /** Such as `function`. */
  readonly kind: string;
  readonly place: string;
  /** Its first sentence. */
  readonly text: string;
}

/** The index of all sections of the docs and all names of the API, as JSON. */
export function searchIndex(texts: readonly Text[], names: readonly ApiName[]): string {
  const index = new MiniSearch<Hit & { text: string }>(OPTIONS);
  let id = 0;
  for (const { place, page, sections } of texts) {
    for (const { anchor, title, level, text } of sections) {
      index.add({ id: id++, title, page, text, link: level === 1 ? place : `${place}#${anchor}` });
    }
  }
  for (const { name, kind, place, text } of names) {
    index.add({ id: id++, title: name, page: `API, ${kind}`, text, link: place });
  }
  return JSON.stringify(index);
}
