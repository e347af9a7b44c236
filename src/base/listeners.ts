import { HighrankError } from "./errors.js";

/**
 * The listeners that a program gives to work that goes on for long. One that throws, or whose promise rejects where it
 * is async, ends the work as its signal does, and then the call.
 */
export class Listeners {
  readonly #ending = new AbortController();
  readonly #given: AbortSignal | undefined;
  readonly #end = (): void => this.#ending.abort(this.#given?.reason);
  #fault: HighrankError | null = null;

  /** @param signal of the program, which ends the work too. */
  constructor(signal?: AbortSignal) {
    this.#given = signal;
    if (signal?.aborted) this.#end();
    signal?.addEventListener("abort", this.#end, { once: true });
  }

  /** Aborted when the work is to end, by the signal of the program or by a fault, with its reason. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** The options, in which no function throws. */
  guarded<T extends object>(options: T): T {
    const entries = Object.entries(options).map(([name, value]) => [
      name,
      typeof value === "function" ? this.#guard(name, value as Listener) : value,
    ]);
    return Object.fromEntries(entries) as T;
  }

  /** The work's result. @throws HighrankError that names the first listener that failed, with its error as `cause`. */
  async resultOf<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      if (this.#fault !== null) throw this.#fault;
      return result;
    } finally {
      this.#given?.removeEventListener("abort", this.#end);
    }
  }

  #guard(name: string, listener: Listener): Listener {
    const fail = (error: unknown): void => {
      const said = error instanceof HighrankError ? error.text : String(error);
      this.#fault ??= new HighrankError(`${name} failed, which ended the work: ${said}`, { cause: error });
      this.#ending.abort(this.#fault);
    };
    return (...given) => {
      try {
        const returned = listener.apply(undefined, given);
        // Nobody waits for it: a listener may take until the program goes on.
        if (returned instanceof Promise) returned.catch(fail);
        return returned;
      } catch (error) {
        return fail(error);
      }
    };
  }
}

type Listener = (...given: unknown[]) => unknown;
