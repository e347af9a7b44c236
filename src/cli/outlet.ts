import { shownText, type Terminal } from "./terminal.js";

export interface OutletOptions {
  /** Hears the first error of the stream. */
  readonly onLost?: (error: Error) => void;
  /** False if a terminal is to get plain lines, as a file does. */
  readonly isDrawn?: boolean;
}

/**
 * The one door to a standard stream. What would drive a terminal comes out as text, unless it is of our own making.
 * After a write that failed, nothing is written any more.
 */
export class Outlet {
  readonly #stream: Terminal;
  readonly #onLost: (error: Error) => void;
  readonly #isDrawn: boolean;
  #isLost = false;

  constructor(stream: Terminal, { onLost = () => {}, isDrawn = true }: OutletOptions = {}) {
    this.#stream = stream;
    this.#onLost = onLost;
    this.#isDrawn = isDrawn;
    stream.on?.("error", (error) => this.#lose(error));
  }

  get isTTY(): boolean {
    return this.#isDrawn && this.#stream.isTTY === true;
  }

  /** Columns of the terminal; 80 where it does not know, and elsewhere. */
  get columns(): number {
    return this.#stream.columns || 80;
  }

  /** Lines for people. A line break inside of one is shown as `\n`. */
  print(lines: readonly string[]): void {
    this.write(lines.map((line) => `${line.replaceAll("\n", "\\n")}\n`).join(""));
  }

  write(text: string): void {
    this.writeUnchanged(shownText(text));
  }

  /** Text that goes into a file to the character, such as a model's. */
  writeUnchanged(text: string): void {
    if (this.#isLost) return;
    try {
      this.#stream.write(text);
    } catch (error) {
      this.#lose(error as Error);
    }
  }

  #lose(error: Error): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#onLost(error);
  }
}
