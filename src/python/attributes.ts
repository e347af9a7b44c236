import { bound, intArgument, type MethodTable, method, positional } from "./arguments.js";
import { except, typeError, valueError } from "./error.js";
import { PythonFloat } from "./float.js";
import { formatFields } from "./format-fields.js";
import { escapeHtml } from "./html.js";
import { type Float, float, type Int, isInt } from "./numbers.js";
import { Builtin, DictView, Range } from "./objects.js";
import { sliceBounds } from "./operators.js";
import { stringMethod } from "./string-methods.js";
import {
  type Arguments,
  charactersOf,
  Dict,
  equals,
  isText,
  itemOf,
  iterableOf,
  List,
  Markup,
  PythonObject,
  repr,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

// `value.name` and `value[key]`: https://jinja.palletsprojects.com/en/stable/templates/#notes-on-subscriptions

/** Methods that would change a list or dict, which the sandbox forbids. */
const CHANGING: Readonly<Record<string, readonly string[]>> = {
  list: ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"],
  dict: ["clear", "pop", "popitem", "setdefault", "update"],
};

/** Names that every object of Python has, and which the sandbox hides. */
const HIDDEN = new Set([
  ...["__class__", "__delattr__", "__dir__", "__doc__", "__eq__", "__format__", "__ge__", "__getattribute__"],
  ...["__getstate__", "__gt__", "__hash__", "__init__", "__init_subclass__", "__le__", "__lt__", "__ne__", "__new__"],
  ...["__reduce__", "__reduce_ex__", "__repr__", "__setattr__", "__sizeof__", "__str__", "__subclasshook__"],
]);

const SEQUENCE_METHODS: MethodTable<List | Tuple | Range> = {
  count: positional(
    ["value"],
    (self, value) => Array.from(iterableOf(self)).filter((item) => equals(item, value!)).length,
  ),
  index: positional(["value", ["start", 0], ["stop", Number.MAX_SAFE_INTEGER]], (self, value, start, stop) => {
    const items = [...iterableOf(self)];
    const bounds = [start!, stop!].map(intArgument);
    const [from, to] = sliceBounds(items.length, [bounds[0]!, bounds[1]!, 1]);
    const index = items.findIndex((item, at) => at >= from && at < to && equals(item, value!));
    if (index < 0) throw valueError(`${repr(value!)} is not in ${self.typeName}`);
    return index;
  }),
};

const LIST_METHODS: MethodTable<List> = {
  ...SEQUENCE_METHODS,
  copy: positional([], (self) => new List(self.items)),
};

const DICT_METHODS: MethodTable<Dict> = {
  copy: positional([], (self) => new Dict(self.entries())),
  fromkeys: positional(["iterable", ["value", null]], (_, keys, value) => dictFromKeys(keys!, value!)),
  get: positional(["key", ["default", null]], (self, key, fallback) =>
    self.contains(key!) ? self.item(key!) : fallback!,
  ),
  items: positional([], (self) => new DictView("dict_items", self)),
  keys: positional([], (self) => new DictView("dict_keys", self)),
  values: positional([], (self) => new DictView("dict_values", self)),
};

export function dictFromKeys(keys: Value, value: Value): Dict {
  return new Dict(Array.from(iterableOf(keys), (key) => [key, value] as const));
}

const INT_METHODS: MethodTable<Int> = {
  as_integer_ratio: positional([], (self) => new Tuple([self, 1])),
  bit_count: positional([], (self) => bitsOf(self).replaceAll("0", "").length),
  bit_length: positional([], (self) => bitsOf(self).length),
  conjugate: positional([], (self) => self),
};

function bitsOf(value: Int): string {
  const size = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  return size === 0n ? "" : size.toString(2);
}

const FLOAT_METHODS: MethodTable<Float> = {
  conjugate: positional([], (self) => self),
  is_integer: positional([], (self) => self instanceof PythonFloat),
};

const MARKUP_METHODS: MethodTable<Markup> = {
  striptags: method([], (self) => strippedTags(self.value)),
  unescape: method([], (self) => unescaped(self.value)),
};

const ENTITIES = new Map(Object.entries({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\xa0" }));

/** Characters whose numbers HTML replaces or drops, among others. */
const STRANGE = /[^\P{C}\t\n]/u;

/** `html.unescape`, for numbers and the commonest names. @throws TypeError for others, of which HTML has thousands. */
function unescaped(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|([a-z]\w*));?/gi, (entity, decimal, hex, name) => {
    const code = name === undefined ? Number(decimal ?? `0x${hex}`) : 0;
    const char = name === undefined ? (code <= 0x10ffff ? String.fromCodePoint(code) : undefined) : ENTITIES.get(name);
    const isKnown = char !== undefined && (name === undefined ? !STRANGE.test(char) : entity.endsWith(";"));
    if (isKnown) return char;
    throw typeError(`${entity} is no entity of HTML that is known here; write the character itself`);
  });
}

/** `Markup.striptags`: tags and comments go, and white space becomes one space. */
export function strippedTags(text: string): string {
  const without = (value: string, begin: string, end: string): string => {
    let rest = value;
    for (let start = rest.indexOf(begin); start >= 0; start = rest.indexOf(begin, start)) {
      const stop = rest.indexOf(end, start);
      if (stop < 0) return rest;
      rest = rest.slice(0, start) + rest.slice(stop + end.length);
    }
    return rest;
  };
  const bare = without(without(text, "<!--", "-->"), "<", ">");
  return unescaped((stringMethod(bare, "split")!.call(NO_ARGUMENTS) as List).items.join(" "));
}

const NO_ARGUMENTS: Arguments = { positional: [], named: new Map() };

/** `getattr(value, name)`, or undefined where Python raises AttributeError. */
export function attributeOf(value: Value, name: string): Value | undefined {
  if (isText(value)) {
    if (name === "format" || name === "format_map") return formatMethod(value, name);
    const own = value instanceof Markup ? bound(MARKUP_METHODS, name, value) : undefined;
    return own ?? stringMethod(value, name);
  }
  if (value instanceof List) return bound(LIST_METHODS, name, value);
  if (value instanceof Dict) return bound(DICT_METHODS, name, value);
  if (value instanceof PythonObject) {
    const attribute = value.attribute(name);
    if (attribute !== undefined || !(value instanceof Tuple || value instanceof Range)) return attribute;
    return bound(SEQUENCE_METHODS, name, value);
  }
  return value === null ? undefined : numberAttribute(value, name);
}

function numberAttribute(value: boolean | Int | Float, name: string): Value | undefined {
  const number = typeof value === "boolean" ? Number(value) : value;
  if (name === "real") return number;
  if (!isInt(number)) return name === "imag" ? float(0) : bound(FLOAT_METHODS, name, number);
  if (name === "imag") return 0;
  if (name === "numerator") return number;
  return name === "denominator" ? 1 : bound(INT_METHODS, name, number);
}

function formatMethod(text: string | Markup, name: string): Builtin {
  const shown = (value: Value, formatted: string): string =>
    text instanceof Markup && !(value instanceof Markup) ? escapeHtml(formatted) : formatted;
  return new Builtin(name, (given) => {
    let { positional: values, named }: { positional: readonly Value[]; named: (key: string) => Value | undefined } = {
      positional: given.positional,
      named: (key) => given.named.get(key),
    };
    if (name === "format_map") {
      const [mapping] = values;
      if (mapping === undefined || values.length > 1 || given.named.size > 0) {
        throw typeError("format_map() takes exactly one argument");
      }
      values = [];
      named = (key) =>
        except(
          ["KeyError"],
          () => itemOf(mapping, key),
          () => undefined,
        );
    }
    const result = formatFields(charactersOf(text), { values, named, attribute, item, shown });
    return text instanceof Markup ? new Markup(result) : result;
  });
}

/** True if the sandbox lets templates read the attribute. */
function isSafe(value: Value, name: string): boolean {
  return !name.startsWith("_") && !CHANGING[typeName(value)]?.includes(name);
}

/** True if Python's object has the attribute, though the sandbox hides it. */
function isHidden(value: Value, name: string): boolean {
  if (value instanceof PythonObject && value.hasOnlyItsOwnNames) return false;
  return HIDDEN.has(name) || (CHANGING[typeName(value)]?.includes(name) ?? false);
}

function unsafe(value: Value, name: string): Undefined {
  const message = `access to attribute '${name}' of '${typeName(value)}' object is unsafe.`;
  return new Undefined(message, "SecurityError");
}

function missing(value: Value, key: Value): Undefined {
  const what = value === null ? "None" : `${typeName(value)} object`;
  return new Undefined(
    typeof key === "string" ? `'${what}' has no attribute '${key}'` : `${what} has no element ${repr(key)}`,
  );
}

/** An item where there is one. */
function itemOrMissing(value: Value, key: Value): Value | undefined {
  if (value instanceof Dict && typeof key === "string") return value.get(key);
  return except(
    ["TypeError", "IndexError", "KeyError"],
    () => itemOf(value, key),
    () => undefined,
  );
}

/** `value.name`: an attribute, else an item. */
export function attribute(value: Value, name: string): Value {
  if (isHidden(value, name)) return unsafe(value, name);
  const found = attributeOf(value, name);
  if (found !== undefined) return isSafe(value, name) ? found : unsafe(value, name);
  const among = itemOrMissing(value, name);
  return among === undefined ? missing(value, name) : among;
}

/** `value[key]`: an item, else an attribute. */
export function item(value: Value, key: Value): Value {
  const found = itemOrMissing(value, key);
  if (found !== undefined) return found;
  if (!isText(key)) return missing(value, key);
  const name = charactersOf(key);
  if (isHidden(value, name)) return unsafe(value, name);
  const attributed = attributeOf(value, name);
  if (attributed === undefined) return missing(value, key);
  return isSafe(value, name) ? attributed : unsafe(value, name);
}

/** `getattr_static`: true if the object has the attribute itself. */
export function hasAttribute(value: Value, name: string): boolean {
  return isHidden(value, name) || attributeOf(value, name) !== undefined;
}
