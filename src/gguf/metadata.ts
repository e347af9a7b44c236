import { CheckpointError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import type { GgufItem, GgufValue } from "./types.js";

/** The metadata of a GGUF file, read by the kinds of values that are wanted. */
export class GgufMetadata {
  /** The file, for messages. */
  readonly where: string;
  readonly #values: ReadonlyMap<string, GgufValue>;
  readonly #read = new Set<string>();

  constructor(where: string, values: ReadonlyMap<string, GgufValue>) {
    this.where = where;
    this.#values = values;
  }

  /** The number of this key; undefined without one. @throws CheckpointError for anything else. */
  number(key: string): number | undefined {
    const value = this.#ask(key);
    return value === undefined || typeof value === "number" ? value : this.#refuse(key, "a number", value);
  }

  /** @throws CheckpointError as `number`, and without one. */
  requiredNumber(key: string): number {
    return this.number(key) ?? this.#refuse(key, "a number", undefined);
  }

  text(key: string): string | undefined {
    const value = this.#ask(key);
    return value === undefined || typeof value === "string" ? value : this.#refuse(key, "a text", value);
  }

  boolean(key: string): boolean | undefined {
    const value = this.#ask(key);
    return value === undefined || typeof value === "boolean" ? value : this.#refuse(key, "true or false", value);
  }

  /** The list of texts of this key. @throws CheckpointError for anything else. */
  texts(key: string): readonly string[] | undefined {
    return this.#list(key, (item) => typeof item === "string", "a list of texts");
  }

  /** The list of numbers of this key. @throws CheckpointError for anything else. */
  numbers(key: string): readonly number[] | undefined {
    return this.#list(key, (item) => typeof item === "number", "a list of numbers");
  }

  /** The list of true and false of this key. @throws CheckpointError for anything else. */
  booleans(key: string): readonly boolean[] | undefined {
    return this.#list(key, (item) => typeof item === "boolean", "a list of true and false");
  }

  /** True if the value of the key is a list. */
  isList(key: string): boolean {
    return this.#values.get(key)?.type === "array";
  }

  /** The keys that begin so. */
  keysBelow(prefix: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix));
  }

  /** The values of the keys that begin so and that nothing has asked for. */
  unreadBelow(prefix: string): ReadonlyMap<string, unknown> {
    const unread = this.keysBelow(prefix).filter((key) => !this.#read.has(key));
    return new Map(unread.map((key) => [key, this.#plain(key)]));
  }

  #list<T extends GgufItem>(
    key: string,
    isItem: (item: GgufItem) => boolean,
    wanted: string,
  ): readonly T[] | undefined {
    this.#read.add(key);
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const items = value.type === "array" ? value.items : undefined;
    return items?.every(isItem) === true ? (items as readonly T[]) : this.#refuse(key, wanted, this.#plain(key));
  }

  #ask(key: string): unknown {
    this.#read.add(key);
    return this.#plain(key);
  }

  #plain(key: string): unknown {
    const value = this.#values.get(key);
    return value?.type === "array" ? value.items : value?.value;
  }

  #refuse(key: string, wanted: string, value: unknown): never {
    throw new CheckpointError(`${this.where}: ${key} must be ${wanted}, got ${shownValue(value)}; convert it again`);
  }
}
