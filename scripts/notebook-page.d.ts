/**
 * The page of notebooks/ as Markdown, with the sections of docs/ in the place of the comments that name them. For a
 * site, what code prints stands below it, and comments `<!-- figure: NAME -->` mark the places of figures.
 */
export function wholePage(use: "notebook" | "site"): string;
