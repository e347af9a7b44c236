import process from "node:process";
import { writeFault } from "#platform";
import { ConfigError } from "../base/errors.js";
import { LAUNCHER_NAMES, type Launcher } from "../distributed/launcher.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { DownloadView } from "./download-view.js";
import { describeError, EXIT, type ExitCode, exitCodeOf, messageOf } from "./exit-codes.js";
import { Outlet } from "./outlet.js";
import type { RankLog } from "./rank-log.js";
import type { Environment, Terminal } from "./terminal.js";
import { withTypedNames } from "./typed-names.js";

/** The process around a command, so that verbs touch no globals. */
export interface Surroundings {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly env: Environment;
  /** The words that call the program, as the user types them. Default `highrank`. */
  readonly name?: string;
  /** What started this process as one of several. */
  readonly launcher?: Launcher | null;
  /** Where this process prints, if it is not the first of several. */
  readonly log?: RankLog | null;
}

/** Errors of a pipe whose reader has seen enough (`highrank inspect … | head`), and of a terminal that was closed. */
const CLOSED = ["EPIPE", "ECONNRESET", "EIO"];

/** Surroundings of a verb. With `--json` standard output carries one object and nothing else. */
export class Context {
  readonly json: boolean;
  readonly env: Environment;
  /** The words that call the program, for commands that are printed to be copied. */
  readonly name: string;
  /** Where text for people goes: standard output, or with `--json` standard error. */
  readonly outlet: Outlet;
  /** Shows downloads of models on standard error, since standard output may go into a file. */
  readonly downloads: DownloadView;
  readonly stdin: Surroundings["stdin"];
  /** What started this process as one of several; null for one that was started alone. */
  readonly launcher: Launcher | null;
  readonly #log: RankLog | null;
  exitCode: ExitCode = EXIT.done;
  readonly stdout: Outlet;
  readonly stderr: Outlet;
  #goesOn = false;

  constructor(
    { stdin, stdout, stderr, env, name = "highrank", launcher = null, log = null }: Surroundings,
    { json }: { json: boolean },
  ) {
    this.json = json;
    this.launcher = launcher;
    this.#log = log;
    this.name = name;
    this.stdin = stdin;
    this.env = env;
    // Launchers of several processes give each of them a terminal, in which their lines meet.
    const isDrawn = launcher === null;
    this.stdout = new Outlet(stdout, { isDrawn, onLost: (error) => this.#lose(error) });
    this.stderr = new Outlet(stderr, { isDrawn });
    this.outlet = json ? this.stderr : this.stdout;
    this.downloads = new DownloadView(this.stderr, { env });
  }

  /** Listeners for downloads. */
  get events(): DownloadEvents {
    const { onDownload, onNotice } = this.downloads;
    return { onDownload, onNotice };
  }

  /** Prints a line for people beside the outcome. */
  note(text: string): void {
    this.stderr.print([`note: ${text}`]);
  }

  /** The outcome of the verb: an object for `--json`, or else lines for people. */
  result(value: object, lines: () => readonly string[]): void {
    if (this.json) this.stdout.write(`${JSON.stringify(value)}\n`);
    else this.outlet.print(lines());
  }

  /** Prints an error, which ends the command. @param args those of the command line, by whose names flags are told. */
  fail(error: unknown, args: readonly string[] = []): void {
    this.exitCode = exitCodeOf(error);
    const { HIGHRANK_DEBUG: debug = "" } = this.env;
    this.downloads.clear();
    const described = describeError(error, { debug: debug !== "" && debug !== "0" });
    this.stderr.write(`${withTypedNames(described, args)}\n`);
    const name = error instanceof Error ? error.name : "Error";
    if (this.json)
      this.stdout.write(`${JSON.stringify({ error: { name, message: withTypedNames(messageOf(error), args) } })}\n`);
  }

  /** @throws ConfigError for work of one process, where a launcher has started several. */
  requireAlone(work: string): void {
    if (this.launcher === null) return;
    const { kind, size } = this.launcher;
    throw new ConfigError(
      `${work} is the work of one process, and ${LAUNCHER_NAMES[kind]} has started ${size ?? "several"}; start it alone`,
    );
  }

  /** Says where the run is that the command works on. */
  follow(runFolder: string): void {
    this.#log?.follow(runFolder);
  }

  /** Waits for work that is worth more than what is printed, as a run is: it goes on where nothing can be printed. */
  async goOn<T>(work: Promise<T>): Promise<T> {
    this.#goesOn = true;
    this.#log?.begin();
    try {
      return await work;
    } finally {
      this.#goesOn = false;
    }
  }

  /** Ends the command, or says that it goes on: nothing can be printed any more. */
  #lose(error: NodeJS.ErrnoException): void {
    if (!CLOSED.includes(error.code ?? "")) {
      const fault = writeFault("standard output", error);
      if (this.#goesOn) this.note(`${messageOf(fault)}; the work goes on`);
      else this.fail(fault);
    }
    if (!this.#goesOn) process.exit(this.exitCode);
  }
}
