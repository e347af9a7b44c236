import { isObject, shownValue } from "../../base/json.js";
import { suggest } from "../../base/suggest.js";
import { ApiError } from "./api-error.js";

/** Reads the parameters of a request's body. A parameter that is null counts as left out. */
export class RequestFields {
  readonly #body: Readonly<Record<string, unknown>>;

  /** @throws ApiError for anything but an object. */
  constructor(body: unknown) {
    if (!isObject(body)) throw ApiError.of(400, "invalid_json", "the body must be a JSON object");
    this.#body = body;
  }

  /** The value of a parameter; undefined if it is left out. */
  get(name: string): unknown {
    return this.#body[name] ?? undefined;
  }

  /** A parameter for which `holds` is true. @param must what it must be, in words. */
  read<T>(name: string, must: string, holds: (value: unknown) => value is T): T | undefined {
    const value = this.get(name);
    if (value === undefined || holds(value)) return value;
    throw wrongValue(name, must, value);
  }

  text(name: string): string | undefined {
    return this.read(name, "a text", isText);
  }

  flag(name: string): boolean {
    return this.read(name, "true or false", (value) => typeof value === "boolean") ?? false;
  }

  number(name: string, { min, max = Infinity }: { readonly min: number; readonly max?: number }): number | undefined {
    const range = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
    return this.read(
      name,
      `a number ${range}`,
      (value): value is number => typeof value === "number" && value >= min && value <= max,
    );
  }

  integer(name: string, { min, max = Infinity }: { readonly min: number; readonly max?: number }): number | undefined {
    const value = this.number(name, { min, max });
    if (value === undefined || Number.isSafeInteger(value)) return value;
    throw wrongValue(name, "an integer", value);
  }

  /**
   * Refuses what would change the answer and is not done: parameters whose value is none of the neutral ones, and those
   * that nobody knows.
   */
  requireKnown(known: readonly string[], neutral: Readonly<Record<string, (value: unknown) => boolean>>): void {
    for (const [name, isNeutral] of Object.entries(neutral)) {
      const value = this.get(name);
      if (value === undefined || isNeutral(value)) continue;
      const message = `${name}: ${shownValue(value)} is not supported; leave it out`;
      throw ApiError.of(400, "unsupported_parameter", message, name);
    }
    const names = [...known, ...Object.keys(neutral)];
    const unknown = Object.keys(this.#body).find((name) => this.get(name) !== undefined && !names.includes(name));
    if (unknown === undefined) return;
    const nearest = suggest(unknown, names);
    const hint = nearest === undefined ? "leave it out" : `did you mean ${nearest}?`;
    throw ApiError.of(400, "unknown_parameter", `unknown parameter ${shownValue(unknown)}; ${hint}`, unknown);
  }
}

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

export function wrongValue(name: string, must: string, value: unknown): ApiError {
  return ApiError.of(400, "invalid_value", `${name}: must be ${must}, got ${shownValue(value)}`, name);
}
