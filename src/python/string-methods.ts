import { bound, intArgument, type MethodEntry, type MethodTable, method, positional } from "./arguments.js";
import { PythonError, typeError, valueError } from "./error.js";
import { escapeHtml, like, takenInto } from "./html.js";
import { type Int, isInt, toIndex } from "./numbers.js";
import { sliceBounds } from "./operators.js";
import {
  CLASS_NAMES,
  capitalize,
  caseFold,
  characters,
  countOf,
  indexOfUnit,
  isLower,
  isOfClass,
  isTitled,
  isUpper,
  lengthOf,
  replace,
  split,
  splitFromEnd,
  splitLines,
  strip,
  stripEnd,
  stripStart,
  substring,
  swapCase,
  titled,
} from "./text.js";
import {
  charactersOf,
  Dict,
  isText,
  isTruthy,
  iterableOf,
  List,
  Markup,
  type PythonObject,
  Tuple,
  typeName,
  type Value,
} from "./values.js";

// Methods of `str`: https://docs.python.org/3.11/library/stdtypes.html#string-methods

type Text = string | Markup;

/** Characters of a field in the widest text; wider ones would only fill the memory. */
const MAX_WIDTH = 10_000_000;

function textArgument(value: Value, what: string): string {
  if (isText(value)) return charactersOf(value);
  throw typeError(`${what} must be str, not ${typeName(value)}`);
}

function optionalText(value: Value, what: string): string | undefined {
  return value === null ? undefined : textArgument(value, what);
}

function widthArgument(value: Value): number {
  const width = intArgument(value);
  if (width > MAX_WIDTH) throw new PythonError("MemoryError", `a text of ${width} characters`);
  return width;
}

/** A method without arguments that gives a text. */
function mapped(run: (text: string) => string): MethodEntry<Text> {
  return positional([], (self) => like(self, run(charactersOf(self))));
}

/** A method without arguments that asks something. */
function asked(run: (text: string) => boolean): MethodEntry<Text> {
  return positional([], (self) => run(charactersOf(self)));
}

function stripped(run: (text: string, chars?: string) => string): MethodEntry<Text> {
  return positional([["chars", null]], (self, chars) =>
    like(self, run(charactersOf(self), optionalText(chars!, "chars"))),
  );
}

function splitMethod(run: (text: string, separator: string | undefined, limit: number) => string[]): MethodEntry<Text> {
  return method(
    [
      ["sep", null],
      ["maxsplit", -1],
    ],
    (self, separator, limit) => {
      const at = optionalText(separator!, "the separator");
      if (at === "") throw valueError("empty separator");
      return like(self, new List(run(charactersOf(self), at, intArgument(limit!))));
    },
  );
}

function filled(before: (missing: number, width: number) => number): MethodEntry<Text> {
  return positional(["width", ["fillchar", " "]], (self, width, fill) => {
    const text = charactersOf(self);
    const char = textArgument(fill!, "the fill character");
    if (lengthOf(char) !== 1) throw typeError("The fill character must be exactly one character long");
    const columns = widthArgument(width!);
    const missing = Math.max(0, columns - lengthOf(text));
    const start = before(missing, columns);
    const filler = charactersOf(takenInto(self, char) as Text);
    return like(self, filler.repeat(start) + text + filler.repeat(missing - start));
  });
}

/** The part of a text that a method looks at, and where it begins. */
function window(text: string, start: Value, stop: Value): [part: string, from: number] | undefined {
  const count = lengthOf(text);
  const index = (value: Value): number | null => {
    if (value === null) return null;
    if (!isInt(value) && typeof value !== "boolean") throw typeError("slice indices must be integers or None");
    return toIndex(value as Int | boolean, typeName(value));
  };
  const first = index(start);
  const [from, to] = sliceBounds(count, [first, index(stop), 1]);
  if (first !== null && first > count) return undefined;
  return from > to ? undefined : [substring(text, from, to), from];
}

const WITHIN = [
  ["start", null],
  ["end", null],
] as const;

function found(run: (part: string, text: string) => number, isRequired: boolean): MethodEntry<Text> {
  return positional(["sub", ...WITHIN], (self, sub, start, stop) => {
    const part = textArgument(sub!, "the text to find");
    const searched = window(charactersOf(self), start!, stop!);
    const unit = searched === undefined ? -1 : run(part, searched[0]);
    if (unit >= 0) return searched![1] + indexOfUnit(searched![0], unit);
    if (isRequired) throw valueError("substring not found");
    return -1;
  });
}

function affixed(run: (text: string, affix: string) => boolean): MethodEntry<Text> {
  return positional(["affix", ...WITHIN], (self, affix, start, stop) => {
    const affixes = affix instanceof Tuple ? affix.items : [affix!];
    const texts = affixes.map((one) => textArgument(one, "an affix"));
    const searched = window(charactersOf(self), start!, stop!);
    return searched !== undefined && texts.some((one) => run(searched[0], one));
  });
}

function partitioned(at: (text: string, separator: string) => number, isFromEnd: boolean): MethodEntry<Text> {
  return positional(["sep"], (self, separator) => {
    const text = charactersOf(self);
    const part = textArgument(separator!, "the separator");
    if (part === "") throw valueError("empty separator");
    const index = at(text, part);
    const pieces =
      index >= 0
        ? [text.slice(0, index), part, text.slice(index + part.length)]
        : isFromEnd
          ? ["", "", text]
          : [text, "", ""];
    return new Tuple(pieces.map((piece) => like(self, piece)));
  });
}

function expandTabs(text: string, size: number): string {
  let column = 0;
  return text.replace(/[^\t\n\r]+|[\t\n\r]/g, (piece) => {
    if (piece === "\n" || piece === "\r") column = 0;
    else if (piece !== "\t") column += lengthOf(piece);
    else {
      const spaces = size > 0 ? size - (column % size) : 0;
      column += spaces;
      return " ".repeat(spaces);
    }
    return piece;
  });
}

function translated(self: Text, table: Value): Value {
  if (!(table instanceof Dict)) throw typeError("translate() takes a dict here");
  const changed = characters(charactersOf(self)).map((char) => {
    const code = char.codePointAt(0)!;
    const value = table.get(code);
    if (value === undefined) return char;
    if (value === null) return "";
    if (isText(value)) return charactersOf(value);
    if (isInt(value) && value >= 0 && value <= 0x10ffff) return String.fromCodePoint(Number(value));
    throw typeError("character mapping must return integer, None or str");
  });
  return like(self, changed.join(""));
}

function madeTranslation(from: Value, to: Value, removed: Value): Value {
  if (isText(from) && isText(to)) {
    const [keys, values] = [characters(charactersOf(from)), characters(charactersOf(to))];
    if (keys.length !== values.length) throw valueError("the first two maketrans arguments must have equal length");
    const code = (char: string): number => char.codePointAt(0)!;
    const dict = new Dict(keys.map((key, index) => [code(key), code(values[index]!)]));
    for (const char of characters(isText(removed) ? charactersOf(removed) : "")) dict.set(code(char), null);
    return dict;
  }
  if (!(from instanceof Dict) || to !== null) throw typeError("maketrans() takes a dict or two texts");
  const keyOf = (key: Value): Value => {
    if (isInt(key)) return key;
    if (isText(key) && lengthOf(charactersOf(key)) === 1) return charactersOf(key).codePointAt(0)!;
    throw valueError("string keys in translate table must be of length 1");
  };
  return new Dict(Array.from(from.entries(), ([key, value]) => [keyOf(key), value] as const));
}

function joined(self: Text, items: Value): Value {
  const parts = Array.from(iterableOf(items), (item, index) => {
    if (isText(item)) return charactersOf(takenInto(self, item) as Text);
    if (self instanceof Markup) return escapeHtml(String(item));
    throw typeError(`sequence item ${index}: expected str instance, ${typeName(item)} found`);
  });
  return like(self, parts.join(charactersOf(self)));
}

const METHODS: MethodTable<Text> = {
  capitalize: mapped(capitalize),
  casefold: mapped(caseFold),
  center: filled((missing, width) => Math.floor(missing / 2) + (missing & width & 1)),
  count: positional(["sub", ...WITHIN], (self, sub, start, stop) => {
    const part = textArgument(sub!, "the text to count");
    const searched = window(charactersOf(self), start!, stop!);
    return searched === undefined ? 0 : countOf(searched[0], part);
  }),
  encode: method(
    [
      ["encoding", "utf-8"],
      ["errors", "strict"],
    ],
    () => {
      throw typeError("encode() gives bytes, which templates cannot use here");
    },
  ),
  endswith: affixed((text, affix) => text.endsWith(affix)),
  expandtabs: method([["tabsize", 8]], (self, size) =>
    like(self, expandTabs(charactersOf(self), widthArgument(size!))),
  ),
  find: found((part, text) => text.indexOf(part), false),
  index: found((part, text) => text.indexOf(part), true),
  ...Object.fromEntries(CLASS_NAMES.map((name) => [name, asked((text) => isOfClass(name, text))])),
  islower: asked(isLower),
  istitle: asked(isTitled),
  isupper: asked(isUpper),
  join: positional(["iterable"], (self, items) => joined(self, items!)),
  ljust: filled(() => 0),
  lower: mapped((text) => text.toLowerCase()),
  lstrip: stripped(stripStart),
  maketrans: positional(["x", ["y", null], ["z", null]], (_, from, to, removed) =>
    madeTranslation(from!, to!, removed!),
  ),
  partition: partitioned((text, part) => text.indexOf(part), false),
  removeprefix: positional(["prefix"], (self, prefix) => {
    const [text, part] = [charactersOf(self), textArgument(prefix!, "the prefix")];
    return like(self, text.startsWith(part) ? text.slice(part.length) : text);
  }),
  removesuffix: positional(["suffix"], (self, suffix) => {
    const [text, part] = [charactersOf(self), textArgument(suffix!, "the suffix")];
    return like(self, part !== "" && text.endsWith(part) ? text.slice(0, -part.length) : text);
  }),
  replace: positional(["old", "new", ["count", -1]], (self, old, replacement, count) => {
    const part = textArgument(old!, "the text to replace");
    const other = textArgument(takenInto(self, replacement!), "the replacement");
    return like(self, replace(charactersOf(self), part, other, intArgument(count!)));
  }),
  rfind: found((part, text) => text.lastIndexOf(part), false),
  rindex: found((part, text) => text.lastIndexOf(part), true),
  rjust: filled((missing) => missing),
  rpartition: partitioned((text, part) => text.lastIndexOf(part), true),
  rsplit: splitMethod(splitFromEnd),
  rstrip: stripped(stripEnd),
  split: splitMethod(split),
  splitlines: method([["keepends", false]], (self, keepEnds) =>
    like(self, new List(splitLines(charactersOf(self), isTruthy(keepEnds!)))),
  ),
  startswith: affixed((text, affix) => text.startsWith(affix)),
  strip: stripped(strip),
  swapcase: mapped(swapCase),
  title: mapped(titled),
  translate: positional(["table"], (self, table) => translated(self, table!)),
  upper: mapped((text) => text.toUpperCase()),
  zfill: positional(["width"], (self, width) => {
    const text = charactersOf(self);
    const sign = /^[+-]/.exec(text)?.[0] ?? "";
    const zeros = "0".repeat(Math.max(0, widthArgument(width!) - lengthOf(text)));
    return like(self, sign + zeros + text.slice(sign.length));
  }),
};

/** The method of a text, or undefined. */
export function stringMethod(self: Text, name: string): PythonObject | undefined {
  return bound(METHODS, name, self);
}

/** `text.name()` for filters: a method without arguments, or with some of its arguments. */
export function callStringMethod(self: Text, name: string, ...values: readonly Value[]): Value {
  return stringMethod(self, name)!.call({ positional: values, named: new Map() });
}
