// A list of their own, so that the test `filter` need not know the filters, which use tests.
/** https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters */
const FILTER_NAMES = [
  ...(["abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape"] as const),
  ...(["filesizeformat", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items"] as const),
  ...(["join", "last", "length", "list", "lower", "map", "max", "min", "pprint", "random", "reject"] as const),
  ...(["rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort"] as const),
  ...(["string", "striptags", "sum", "title", "tojson", "trim", "truncate", "unique", "upper"] as const),
  ...(["urlencode", "urlize", "wordcount", "wordwrap", "xmlattr"] as const),
] as const;

export type FilterName = (typeof FILTER_NAMES)[number];

export function isFilterName(name: string): name is FilterName {
  return (FILTER_NAMES as readonly string[]).includes(name);
}
