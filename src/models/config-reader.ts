import { CheckpointError, ModelError } from "../base/errors.js";
import { shownValue } from "../base/json.js";

type Json = Readonly<Record<string, unknown>>;

/** Reads keys of a config.json and collects all their faults. A key that is missing or null has its default. */
export class ConfigReader {
  readonly json: Json;
  readonly faults: string[] = [];
  #isSupported = true;
  readonly #inner: [string, ConfigReader][] = [];

  constructor(json: Json) {
    this.json = json;
  }

  /** True if the config has a value under this key. */
  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  /** True if the value is null, which for some keys differs from a missing one. */
  isNull(key: string): boolean {
    return this.json[key] === null;
  }

  /** A positive integer; without a default the key is required. */
  count(key: string, fallback?: number): number {
    return this.#number(key, fallback, "a positive integer", (value) => Number.isSafeInteger(value) && value > 0);
  }

  /** A finite number above 0; without a default the key is required. */
  positive(key: string, fallback?: number): number {
    return this.#number(key, fallback, "a number above 0", (value) => value > 0 && Number.isFinite(value));
  }

  /** A finite number of 0 or more. */
  atLeastZero(key: string, fallback: number): number {
    return this.#number(key, fallback, "a number of 0 or more", (value) => value >= 0 && Number.isFinite(value));
  }

  /** A finite number above 0, or undefined if the config has none. */
  optional(key: string): number | undefined {
    return this.has(key) ? this.positive(key) : undefined;
  }

  /** A token's id; null if the config has none, or several. */
  token(key: string): number | null {
    if (!this.has(key) || Array.isArray(this.json[key])) return null;
    return this.#number(
      key,
      undefined,
      "an integer of 0 or more",
      (value) => Number.isSafeInteger(value) && value >= 0,
    );
  }

  boolean(key: string, fallback: boolean): boolean {
    if (!this.has(key)) return fallback;
    const value = this.json[key];
    if (typeof value !== "boolean") this.faults.push(`${key} must be true or false, got ${shownValue(value)}`);
    return value === true;
  }

  /** The choice that the config names. */
  choice<T>(key: string, choices: Readonly<Record<string, T>>, fallback: string): T {
    const name = this.has(key) ? this.json[key] : fallback;
    if (typeof name === "string" && Object.hasOwn(choices, name)) return choices[name]!;
    const supported = Object.keys(choices).map((each) => JSON.stringify(each));
    this.refuse(`${key} is ${shownValue(name)}, supported is ${supported.join(", ")}`);
    return choices[fallback]!;
  }

  /** Refuses every value except one, which is also the default. */
  only(key: string, supported: unknown): void {
    if (!this.has(key) || this.json[key] === supported) return;
    this.refuse(`${key} is ${shownValue(this.json[key])}, supported is ${JSON.stringify(supported)}`);
  }

  /** Adds a fault of the model rather than of the file: something that highrank does not compute. */
  refuse(fault: string): void {
    this.faults.push(fault);
    this.#isSupported = false;
  }

  /** The reader of the object under that key, or of an empty one if there is none. Its faults count among these. */
  object(key: string): ConfigReader {
    const value = this.json[key] ?? {};
    const isObject = typeof value === "object" && !Array.isArray(value);
    if (!isObject) this.faults.push(`${key} must be an object, got ${shownValue(value)}`);
    return this.part(key, isObject ? (value as Json) : {});
  }

  /** A reader of an object whose faults count among these, under that name. */
  part(name: string, json: Json): ConfigReader {
    const inner = new ConfigReader(json);
    this.#inner.push([name, inner]);
    return inner;
  }

  /** Refuses weights of `columns` by any of `rows` that exceed the largest array. */
  matrices(columns: number, rows: readonly number[]): void {
    for (const each of rows) {
      if (Number.isSafeInteger(each * columns) || Number.isNaN(each * columns)) continue;
      this.faults.push(`a weight of ${each} × ${columns} is more than can be addressed`);
    }
  }

  /** @throws CheckpointError listing all faults; a ModelError if the model is not supported. */
  finish(): void {
    const faults = this.#allFaults();
    const Fault = this.#describesSupported() ? CheckpointError : ModelError;
    if (faults.length > 0) throw new Fault(`config.json: ${faults.join("; ")}`);
  }

  #describesSupported(): boolean {
    return this.#isSupported && this.#inner.every(([, inner]) => inner.#describesSupported());
  }

  #allFaults(): string[] {
    return [
      ...this.faults,
      ...this.#inner.flatMap(([key, inner]) => inner.#allFaults().map((fault) => `${key}: ${fault}`)),
    ];
  }

  #number(key: string, fallback: number | undefined, rule: string, fits: (value: number) => boolean): number {
    if (fallback !== undefined && !this.has(key)) return fallback;
    const value = this.json[key];
    if (typeof value === "number" && fits(value)) return value;
    this.faults.push(`${key} must be ${rule}, got ${shownValue(value)}`);
    return fallback ?? Number.NaN;
  }
}
