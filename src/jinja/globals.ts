import { bind, intArgument } from "../python/arguments.js";
import { dictFromKeys } from "../python/attributes.js";
import { PythonError, typeError, valueError } from "../python/error.js";
import { Builtin, Range, withoutText } from "../python/objects.js";
import { strftime } from "../python/strftime.js";
import {
  type Arguments,
  Dict,
  isText,
  itemsOf,
  PythonObject,
  repr,
  str,
  typeName,
  Undefined,
  type Value,
} from "../python/values.js";

// Names that every template knows: https://jinja.palletsprojects.com/en/stable/templates/#list-of-global-functions

/** Items of the longest `range`, as in Jinja2's sandbox. */
const MAX_RANGE = 100_000;

function range({ positional: bounds, named }: Arguments): Range {
  if (named.size > 0) throw typeError("range() takes no keyword arguments");
  if (bounds.length < 1 || bounds.length > 3) throw typeError(`range expected 1 to 3 arguments, got ${bounds.length}`);
  const [first = 0, second, step = 1] = bounds.map(intArgument);
  if (step === 0) throw valueError("range() arg 3 must not be zero");
  const made = second === undefined ? new Range(0, first, 1) : new Range(first, second, step);
  if (made.length() <= MAX_RANGE) return made;
  throw new PythonError(
    "OverflowError",
    `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`,
  );
}

/** `dict(pairs, **named)`. */
function dict(name: string, { positional: given, named }: Arguments): Dict {
  if (given.length > 1) throw typeError(`${name} expected at most 1 argument, got ${given.length}`);
  const [source] = given;
  const made = new Dict(source === undefined ? [] : entriesOf(source));
  for (const [key, value] of named) made.set(key, value);
  return made;
}

function entriesOf(source: Value): Iterable<readonly [Value, Value]> {
  if (source instanceof Undefined) source.fail();
  if (source instanceof Dict) return source.entries();
  return itemsOf(source).map((pair): [Value, Value] => {
    const parts = itemsOf(pair);
    if (parts.length !== 2)
      throw valueError(`dictionary update sequence element has length ${parts.length}; 2 is required`);
    return [parts[0]!, parts[1]!];
  });
}

/** transformers' stand-in for `dict`, which has nothing but what templates need. */
class DictType extends PythonObject {
  readonly typeName = "TemplateDict";

  repr(): string {
    throw withoutText("the function dict", "call it");
  }

  override get isCallable(): boolean {
    return true;
  }

  override attribute(name: string): Value | undefined {
    if (name !== "fromkeys") return undefined;
    return new Builtin(name, (given) => {
      const [keys, value] = bind(name, ["iterable", ["value", null]], given);
      return dictFromKeys(keys!, value!);
    });
  }

  override call(given: Arguments): Value {
    return dict("dict", given);
  }
}

/** A namespace, whose attributes `{% set ns.name = … %}` can assign. */
export class Namespace extends PythonObject {
  readonly typeName = "transformers.utils.chat_template_utils.TemplateNamespace";
  readonly #attributes: Dict;

  constructor(attributes: Dict) {
    super();
    this.#attributes = attributes;
    for (const name of attributes.keys()) requirePublic(name);
  }

  override get hasOnlyItsOwnNames(): boolean {
    return true;
  }

  repr(): string {
    return `<Namespace ${this.#attributes.repr()}>`;
  }

  override attribute(name: string): Value | undefined {
    return this.#attributes.get(name);
  }

  assign(name: string, value: Value): void {
    requirePublic(name);
    this.#attributes.set(name, value);
  }
}

function requirePublic(name: Value): void {
  if (!isText(name) || !str(name).startsWith("_")) return;
  const what = `underscore-prefixed attributes on a namespace, but got ${repr(name)}`;
  throw new PythonError("SecurityError", `Chat templates cannot store ${what}. Please rename the attribute.`);
}

/** `cycler(…)`: gives its values in turn. */
class Cycler extends PythonObject {
  readonly typeName = "jinja2.utils.Cycler";
  readonly #items: readonly Value[];
  #position = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw new PythonError("RuntimeError", "at least one item has to be provided");
    this.#items = items;
  }

  repr(): string {
    throw withoutText("a cycler", "call its next()");
  }

  override attribute(name: string): Value | undefined {
    if (name === "current") return this.#items[this.#position];
    if (name === "pos") return this.#position;
    if (name === "reset") {
      return new Builtin(name, () => {
        this.#position = 0;
        return null;
      });
    }
    if (name !== "next") return undefined;
    return new Builtin(name, () => {
      const current = this.#items[this.#position]!;
      this.#position = (this.#position + 1) % this.#items.length;
      return current;
    });
  }
}

/** `joiner(separator)`: gives nothing the first time, then the separator. */
class Joiner extends PythonObject {
  readonly typeName = "jinja2.utils.Joiner";
  readonly #separator: Value;
  #isUsed = false;

  constructor(separator: Value) {
    super();
    this.#separator = separator;
  }

  override get isCallable(): boolean {
    return true;
  }

  repr(): string {
    throw withoutText("a joiner", "call it");
  }

  override attribute(name: string): Value | undefined {
    if (name === "sep") return this.#separator;
    return name === "used" ? this.#isUsed : undefined;
  }

  override call(): Value {
    const joined = this.#isUsed ? this.#separator : "";
    this.#isUsed = true;
    return joined;
  }
}

/**
 * The names, as transformers sets them up.
 * @param now moment that `strftime_now` tells, in its UTC fields; without one the name is undefined, since a date that
 *   nobody asked for would make the tokens depend on the day.
 */
export function globals(now: Date | undefined): Map<string, Value> {
  const functions = [
    new Builtin("range", range),
    new Builtin("namespace", (given) => new Namespace(dict("namespace", given))),
    new Builtin("cycler", ({ positional: items }) => new Cycler(items)),
    new Builtin("joiner", (given) => new Joiner(bind("joiner", [["sep", ", "]], given)[0]!)),
    new Builtin("lipsum", () => {
      throw typeError("lipsum would give other text in every run; write the text into the template");
    }),
    new Builtin("raise_exception", (given) => {
      throw new PythonError("TemplateError", str(bind("raise_exception", ["message"], given)[0]!));
    }),
  ];
  const named = new Map<string, Value>(functions.map((one) => [one.name, one]));
  named.set("dict", new DictType());
  if (now === undefined) return named;
  const tell = new Builtin("strftime_now", (given) => {
    const [format] = bind("strftime_now", ["format"], given);
    if (isText(format!)) return strftime(now, str(format));
    throw typeError(`strftime() argument 1 must be str, not ${typeName(format!)}`);
  });
  return named.set("strftime_now", tell);
}
