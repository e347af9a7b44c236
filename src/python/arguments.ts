import { typeError } from "./error.js";
import { toIndex } from "./numbers.js";
import { Builtin } from "./objects.js";
import { type Arguments, type PythonObject, typeName, type Value } from "./values.js";

/** Parameters as they are written in Python's documentation: `["width", ["fillchar", " "]]`. */
export type Signature = readonly (string | readonly [name: string, fallback: Value])[];

/** Values of all parameters in order. @throws TypeError where the call does not fit. */
export function bind(name: string, signature: Signature, { positional, named }: Arguments): Value[] {
  if (positional.length > signature.length) {
    throw typeError(`${name}() takes at most ${signature.length} arguments, got ${positional.length}`);
  }
  let used = 0;
  const values = signature.map((parameter, index): Value => {
    const [key, ...fallback] = typeof parameter === "string" ? [parameter] : parameter;
    const written = named.get(key);
    if (written !== undefined) used++;
    if (index < positional.length) {
      if (written !== undefined) throw typeError(`${name}() got multiple values for argument '${key}'`);
      return positional[index]!;
    }
    if (written !== undefined) return written;
    if (fallback.length > 0) return fallback[0] as Value;
    throw typeError(`${name}() misses the argument '${key}'`);
  });
  if (used === named.size) return values;
  const known = new Set(signature.map((parameter) => (typeof parameter === "string" ? parameter : parameter[0])));
  const unknown = [...named.keys()].find((key) => !known.has(key));
  throw typeError(`${name}() got an unexpected keyword argument '${unknown}'`);
}

/** A method with its object. */
export type Method<T> = (self: T, ...values: Value[]) => Value;

/** Methods of a type: a signature, whose parameters take no names if it says so, and what runs. */
export type MethodTable<T> = Readonly<Record<string, MethodEntry<T>>>;

export interface MethodEntry<T> {
  readonly signature: Signature;
  readonly takesNames: boolean;
  readonly run: Method<T>;
}

/** A method whose arguments can be named. */
export function method<T>(signature: Signature, run: Method<T>): MethodEntry<T> {
  return { signature, takesNames: true, run };
}

/** A method whose arguments go by position alone, as most of Python's own. */
export function positional<T>(signature: Signature, run: Method<T>): MethodEntry<T> {
  return { signature, takesNames: false, run };
}

/** The method of an object, or undefined. */
export function bound<T>(table: MethodTable<T>, name: string, self: T): PythonObject | undefined {
  const entry = Object.hasOwn(table, name) ? table[name] : undefined;
  if (entry === undefined) return undefined;
  return new Builtin(name, (given) => {
    if (!entry.takesNames && given.named.size > 0) throw typeError(`${name}() takes no keyword arguments`);
    return entry.run(self, ...bind(name, entry.signature, given));
  });
}

/** An argument that must be an int. @throws TypeError. */
export function intArgument(value: Value): number {
  return toIndex(value, typeName(value));
}
