import type { Options } from "minisearch";

/** What is shown of a section or a name. */
export interface Hit {
  readonly id: number;
  readonly title: string;
  readonly page: string;
  /** From the top of the site. */
  readonly link: string;
}

/** The index is made and asked by the same rules. */
export const OPTIONS: Options = {
  fields: ["title", "page", "text"],
  storeFields: ["title", "page", "link"],
  searchOptions: {
    prefix: true,
    fuzzy: (term) => (term.length > 4 ? 0.2 : false),
    boost: { title: 4, page: 2 },
    combineWith: "AND",
  },
};
