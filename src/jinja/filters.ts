import { bind, intArgument, type Signature } from "../python/arguments.js";
import { attribute, hasAttribute, strippedTags } from "../python/attributes.js";
import { except, PythonError, typeError } from "../python/error.js";
import { escapeHtml, escapeValue, like, softText } from "../python/html.js";
import { toJson } from "../python/json-dumps.js";
import { float, isInt, negate, toDouble, truncate } from "../python/numbers.js";
import { DictView, LazyItems } from "../python/objects.js";
import { binary } from "../python/operators.js";
import { percentFormat } from "../python/percent-format.js";
import { callStringMethod } from "../python/string-methods.js";
import {
  type Arguments,
  charactersOf,
  Dict,
  equals,
  isLess,
  isText,
  isTruthy,
  itemsOf,
  iterableOf,
  iterate,
  List,
  length,
  Markup,
  numeric,
  repr,
  str,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "../python/values.js";
import { attributesForXml, pairsForUrl, prettyText, rounded, toFloat, toInt } from "./conversions.js";
import { type FilterName, isFilterName } from "./filter-names.js";
import { testNamed } from "./predicates.js";
import { batches, getter, grouped, keyOf, pairs, reversed, slices, sortedBy, unique } from "./sequences.js";
import {
  fileSize,
  indented,
  titleWords,
  truncated,
  urlQuoted,
  withLinks,
  wordCount,
  wordWrapped,
} from "./text-filters.js";

// https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters

/** A filter: the value is the first argument. */
export type Filter = (given: Arguments) => Value;

function filter(signature: Signature, run: (value: Value, ...values: Value[]) => Value): Filter {
  return (given) => run(...(bind("the filter", ["value", ...signature], given) as [Value, ...Value[]]));
}

/** A filter that is a method of texts, which other values become first. */
function textMethod(name: string, signature: Signature = []): Filter {
  return filter(signature, (value, ...values) => callStringMethod(softText(value), name, ...values));
}

function optionalText(value: Value): string | undefined {
  return value === null ? undefined : str(value);
}

const CASE_AND_ATTRIBUTE: Signature = [
  ["case_sensitive", false],
  ["attribute", null],
];

function extreme(isBetter: (key: Value, best: Value) => boolean): Filter {
  return filter(CASE_AND_ATTRIBUTE, (value, isCaseSensitive, path) => {
    const key = keyOf(isCaseSensitive!, path!);
    let best: readonly [Value, Value] | undefined;
    for (const one of iterableOf(value)) {
      const own = key(one);
      if (best === undefined || isBetter(own, best[0])) best = [own, one];
    }
    return best?.[1] ?? (best === undefined ? new Undefined("No aggregated item, sequence was empty.") : null);
  });
}

/** A filter that gives its items one by one, and looks at nothing before the first is asked for. */
function lazy(run: (given: Arguments) => Iterator<Value>): Filter {
  return (given) => new LazyItems(run(given));
}

function* mapped({ positional: [value, ...values], named }: Arguments): Generator<Value> {
  if (!isTruthy(value!)) return;
  const run = mapper(values, named);
  for (const one of iterableOf(value!)) yield run(one);
}

function mapper(values: readonly Value[], named: ReadonlyMap<string, Value>): (value: Value) => Value {
  const path = named.get("attribute");
  if (values.length === 0 && path !== undefined) {
    const unknown = [...named.keys()].find((key) => key !== "attribute" && key !== "default");
    if (unknown !== undefined) throw typeError(`Unexpected keyword argument '${unknown}'`);
    return getter(path, { fallback: named.get("default") ?? null });
  }
  const [name, ...rest] = values;
  if (name === undefined) throw typeError("map requires a filter argument");
  const run = found("filter", name, filterNamed);
  return (value) => run({ positional: [value, ...rest], named });
}

/** The filter or test of a name that is a value of the template. */
function found<T>(kind: "filter" | "test", name: Value, lookUp: (name: string) => T | undefined): T {
  const result = isText(name) ? lookUp(charactersOf(name)) : undefined;
  if (result !== undefined) return result;
  if (name instanceof Undefined) name.fail();
  throw new PythonError("RuntimeError", `No ${kind} named ${repr(name)}.`);
}

function chooser(isChosen: boolean, looksUp: boolean): Filter {
  return lazy(function* choose({ positional: [value, ...values], named }: Arguments): Generator<Value> {
    if (!isTruthy(value!)) return;
    const rest = [...values];
    const path = looksUp ? rest.shift() : null;
    if (path === undefined) throw typeError("Missing parameter for attribute name");
    const get = getter(path);
    const name = rest.shift();
    const run = name === undefined ? undefined : found("test", name, testNamed);
    for (const one of iterableOf(value!)) {
      const looked = get(one);
      const holds = run === undefined ? isTruthy(looked) : run({ positional: [looked, ...rest], named });
      if (holds === isChosen) yield one;
    }
  });
}

const counted = filter([], length);
const orDefault = filter(
  [
    ["default_value", ""],
    ["boolean", false],
  ],
  (value, fallback, boolean) =>
    value instanceof Undefined || (isTruthy(boolean!) && !isTruthy(value)) ? fallback! : value,
);
const escaping = filter([], escapeValue);

const FILTERS: Readonly<Record<FilterName, Filter>> = {
  abs: filter([], (value) => {
    const number = numeric(value);
    if (number === undefined) throw typeError(`bad operand type for abs(): '${typeName(value)}'`);
    if (isInt(number)) return number < 0 ? negate(number) : number;
    return float(Math.abs(toDouble(number)));
  }),
  attr: filter(["name"], (value, name) => {
    if (!isText(name!)) throw typeError("attribute name must be string");
    const key = charactersOf(name);
    return hasAttribute(value, key)
      ? attribute(value, key)
      : new Undefined(`'${typeName(value)} object' has no attribute '${key}'`);
  }),
  batch: filter(["linecount", ["fill_with", null]], (value, size, fill) => new LazyItems(batches(value, size!, fill!))),
  capitalize: textMethod("capitalize"),
  center: textMethod("center", [["width", 80]]),
  count: counted,
  d: orDefault,
  default: orDefault,
  dictsort: filter(
    [
      ["case_sensitive", false],
      ["by", "key"],
      ["reverse", false],
    ],
    (value, isCaseSensitive, by, isReversed) => {
      if (!equals(by!, "key") && !equals(by!, "value")) throw typeError('You can only sort by either "key" or "value"');
      if (!(value instanceof Dict)) throw typeError(`'${typeName(value)}' object has no attribute 'items'`);
      const key = getter(equals(by!, "key") ? 0 : 1, { ignoresCase: !isTruthy(isCaseSensitive!) });
      return new List(sortedBy(itemsOf(new DictView("dict_items", value)), key, isTruthy(isReversed!)));
    },
  ),
  e: escaping,
  escape: escaping,
  filesizeformat: filter([["binary", false]], (value, binary) => fileSize(toFloat(value), isTruthy(binary!))),
  first: filter([], (value) => {
    const first = iterate(value).next();
    return first.done === true ? new Undefined("No first item, sequence was empty.") : (first.value as Value);
  }),
  float: filter([["default", float(0)]], (value, fallback) =>
    except(
      ["TypeError", "ValueError"],
      () => float(toFloat(value)),
      () => fallback!,
    ),
  ),
  forceescape: filter([], (value) => new Markup(escapeHtml(str(value)))),
  format: ({ positional: [value, ...values], named }) => {
    if (values.length > 0 && named.size > 0)
      throw typeError("can't handle positional and keyword arguments at the same time");
    return percentFormat(softText(value!), named.size > 0 ? new Dict(named) : new Tuple(values));
  },
  groupby: filter(
    ["attribute", ["default", null], ["case_sensitive", false]],
    (value, path, fallback, isCaseSensitive) => grouped(value, path!, fallback!, isCaseSensitive!),
  ),
  indent: filter(
    [
      ["width", 4],
      ["first", false],
      ["blank", false],
    ],
    (value, width, first, blank) => {
      if (value instanceof Undefined) value.fail();
      if (!isText(value)) throw typeError(`'${typeName(value)}' object cannot be indented`);
      const unit = isText(width!) ? charactersOf(width) : " ".repeat(Math.max(0, intArgument(width!)));
      return like(value, indented(charactersOf(value), unit, isTruthy(first!), isTruthy(blank!)));
    },
  ),
  int: filter(
    [
      ["default", 0],
      ["base", 10],
    ],
    (value, fallback, base) =>
      except(
        ["TypeError", "ValueError"],
        () => toInt(value, base!),
        () =>
          except(
            ["TypeError", "ValueError", "OverflowError"],
            () => truncate(float(toFloat(value))),
            () => fallback!,
          ),
      ),
  ),
  items: filter([], (value) => new LazyItems(pairs(value))),
  join: filter(
    [
      ["d", ""],
      ["attribute", null],
    ],
    (value, separator, path) => {
      const get = getter(path!);
      return Array.from(iterableOf(value), (one) => str(get(one))).join(str(separator!));
    },
  ),
  last: filter([], (value) => {
    const items = reversed(value);
    if (items === undefined) throw typeError(`'${typeName(value)}' object is not reversible`);
    return items.length === 0 ? new Undefined("No last item, sequence was empty.") : items[0]!;
  }),
  length: counted,
  list: filter([], (value) => new List([...iterableOf(value)])),
  lower: textMethod("lower"),
  map: lazy(mapped),
  max: extreme((key, best) => isLess(best, key)),
  min: extreme(isLess),
  pprint: filter([], prettyText),
  random: filter([], (value) => {
    if (length(value) === 0) return new Undefined("No random item, sequence was empty.");
    throw typeError("random would give other text in every run; take |first");
  }),
  reject: chooser(false, false),
  rejectattr: chooser(false, true),
  replace: filter(["old", "new", ["count", null]], (value, old, replacement, count) =>
    callStringMethod(str(value), "replace", str(old!), str(replacement!), count ?? -1),
  ),
  reverse: filter([], (value) => {
    const items = reversed(value);
    if (isText(value)) return like(value, Array.from(charactersOf(value)).reverse().join(""));
    return items === undefined
      ? new List(itemsOf(value).toReversed())
      : new LazyItems(items.values(), `${typeName(value)}_reverseiterator`);
  }),
  round: filter(
    [
      ["precision", 0],
      ["method", "common"],
    ],
    (value, precision, method) => rounded(value, precision!, method!),
  ),
  safe: filter([], (value) => new Markup(str(value))),
  select: chooser(true, false),
  selectattr: chooser(true, true),
  slice: filter(["slices", ["fill_with", null]], (value, count, fill) => new LazyItems(slices(value, count!, fill!))),
  sort: filter(
    [
      ["reverse", false],
      ["case_sensitive", false],
      ["attribute", null],
    ],
    (value, isReversed, isCaseSensitive, path) => {
      const paths = isText(path!) ? charactersOf(path).split(",") : [path!];
      const getters = paths.map((one) => keyOf(isCaseSensitive!, one));
      return new List(
        sortedBy(itemsOf(value), (one) => new List(getters.map((get) => get(one))), isTruthy(isReversed!)),
      );
    },
  ),
  string: filter([], softText),
  striptags: filter([], (value) => strippedTags(str(value))),
  sum: filter(
    [
      ["attribute", null],
      ["start", 0],
    ],
    (value, path, start) => {
      if (isText(start!)) throw typeError("sum() can't sum strings [use ''.join(seq) instead]");
      const get = getter(path!);
      let total: Value = start!;
      for (const one of iterableOf(value)) total = binary("+", total, get(one));
      return total;
    },
  ),
  title: filter([], (value) => {
    const text = softText(value);
    return titleWords(charactersOf(text));
  }),
  tojson: filter(
    [
      ["ensure_ascii", false],
      ["indent", null],
      ["separators", null],
      ["sort_keys", false],
    ],
    (value, ensureAscii, indent, separators, sortKeys) =>
      toJson(value, { ensureAscii: ensureAscii!, indent: indent!, separators: separators!, sortKeys: sortKeys! }),
  ),
  trim: textMethod("strip", [["chars", null]]),
  truncate: filter(
    [
      ["length", 255],
      ["killwords", false],
      ["end", "..."],
      ["leeway", null],
    ],
    (value, size, killWords, end, leeway) => {
      const [count, slack] = [intArgument(size!), leeway === null ? 5 : intArgument(leeway!)];
      if (!isText(value) && length(value) <= count + slack) return value;
      if (!isText(value) || !isText(end!)) throw typeError(`'${typeName(value)}' object cannot be truncated`);
      return like(value, truncated(charactersOf(value), count, isTruthy(killWords!), charactersOf(end), slack));
    },
  ),
  unique: filter(
    CASE_AND_ATTRIBUTE,
    (value, isCaseSensitive, path) => new LazyItems(unique(value, isCaseSensitive!, path!)),
  ),
  upper: textMethod("upper"),
  urlencode: filter([], (value) => {
    const hasItems = except(
      ["TypeError"],
      () => iterate(value) !== undefined,
      () => false,
    );
    return isText(value) || !hasItems ? urlQuoted(str(value), false) : pairsForUrl(value);
  }),
  urlize: filter(
    [
      ["trim_url_limit", null],
      ["nofollow", false],
      ["target", null],
      ["rel", null],
      ["extra_schemes", null],
    ],
    (value, limit, nofollow, target, relation, schemes) => {
      const relations = new Set([
        "noopener",
        ...(optionalText(relation!) ?? "").split(/\s+/).filter((one) => one !== ""),
      ]);
      if (isTruthy(nofollow!)) relations.add("nofollow");
      return withLinks(escapeValue(value).value, {
        limit: limit === null ? undefined : intArgument(limit!),
        relation: [...relations].sort().join(" "),
        target: optionalText(target!),
        schemes: schemes === null ? [] : itemsOf(schemes!).map(str),
      });
    },
  ),
  wordcount: filter([], (value) => wordCount(str(value))),
  wordwrap: filter(
    [
      ["width", 79],
      ["break_long_words", true],
      ["wrapstring", null],
      ["break_on_hyphens", true],
    ],
    (value, width, breaksLongWords, separator, breaksOnHyphens) => {
      if (value instanceof Undefined) value.fail();
      if (!isText(value)) throw typeError(`'${typeName(value)}' object has no attribute 'splitlines'`);
      return wordWrapped(charactersOf(value), optionalText(separator!) ?? "\n", {
        width: intArgument(width!),
        breaksLongWords: isTruthy(breaksLongWords!),
        breaksOnHyphens: isTruthy(breaksOnHyphens!),
      });
    },
  ),
  xmlattr: filter([["autospace", true]], (value, autospace) => attributesForXml(value, autospace!)),
};

/** The filter of a name; undefined if there is none. */
export function filterNamed(name: string): Filter | undefined {
  return isFilterName(name) ? FILTERS[name] : undefined;
}
