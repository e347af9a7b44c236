import { appendFileSync, existsSync } from "node:fs";
import { joinPath } from "#platform";
import { RUN_SETTINGS } from "../base/naming.js";
import type { Launcher } from "../distributed/launcher.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import type { Terminal } from "./terminal.js";

/** Time in which the end of the first rank ends the others, in milliseconds. */
const GRACE = 5000;

/** The output of a rank that is not the first: a file in the run folder, `rank-1.log` and so on. */
export class RankLog implements Terminal {
  readonly #rank: number;
  readonly #stderr: Terminal;
  /** True where the end of the first rank ends this one. */
  #endsWithFirst: boolean;
  #folder: string | null = null;
  /** Text from before there was a run folder. */
  #unwritten = "";
  #last = "";

  /** @param stderr hears of errors that no other rank has. */
  constructor({ rank, kind }: Pick<Launcher, "rank" | "kind">, stderr: Terminal) {
    this.#rank = rank;
    this.#stderr = stderr;
    this.#endsWithFirst = kind === "open-mpi";
  }

  /** Says that the ranks begin their common work. Launchers other than Open MPI's end all with one only from then on. */
  begin(): void {
    this.#endsWithFirst = true;
  }

  /** Says where the run is, or will be when the first rank has made its folder. */
  follow(runFolder: string): void {
    this.#folder = runFolder;
  }

  write(text: string): void {
    this.#last = text;
    this.#unwritten += text;
    if (this.#folder === null || !existsSync(joinPath(this.#folder, RUN_SETTINGS))) return;
    appendFileSync(joinPath(this.#folder, `rank-${this.#rank}.log`), this.#unwritten);
    this.#unwritten = "";
  }

  /**
   * Tells the last words on standard error where the process ends with an error that the first rank does not share: that
   * one has told its own, and its end has ended all others. Where it does not, errors of usage are taken to be shared.
   */
  async end(code: ExitCode): Promise<void> {
    if (code === EXIT.usage && !this.#endsWithFirst) return;
    await new Promise((resolve) => setTimeout(resolve, GRACE));
    this.#stderr.write(`rank ${this.#rank}: ${this.#last}`);
  }
}
