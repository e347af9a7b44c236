import type { DownloadEvents } from "../hub/model-download.js";
import { DownloadView } from "./download-view.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import type { Environment, Terminal } from "./terminal.js";

/** The process around a command, so that verbs touch no globals. */
export interface Surroundings {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly env: Environment;
  /** The words that call the program, as the user types them. Default `highrank`. */
  readonly name?: string;
}

/** Surroundings of a verb. With `--json` standard output carries one object and nothing else. */
export class Context {
  readonly json: boolean;
  readonly env: Environment;
  /** The words that call the program, for commands that are printed to be copied. */
  readonly name: string;
  /** Where text for people goes: standard output, or with `--json` standard error. */
  readonly terminal: Terminal;
  /** Shows downloads of models on standard error, since standard output may go into a file. */
  readonly downloads: DownloadView;
  readonly stdin: Surroundings["stdin"];
  exitCode: ExitCode = EXIT.done;
  readonly #stdout: Terminal;
  readonly #stderr: Terminal;

  constructor({ stdin, stdout, stderr, env, name = "highrank" }: Surroundings, { json }: { json: boolean }) {
    this.json = json;
    this.name = name;
    this.stdin = stdin;
    this.env = env;
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.terminal = json ? stderr : stdout;
    this.downloads = new DownloadView(stderr, { env });
  }

  /** Listeners for downloads. */
  get events(): DownloadEvents {
    const { onDownload, onNotice } = this.downloads;
    return { onDownload, onNotice };
  }

  /** Lines for people. */
  print(lines: readonly string[]): void {
    this.terminal.write(lines.map((line) => `${line}\n`).join(""));
  }

  /** Prints a line for people beside the outcome. */
  note(text: string): void {
    this.#stderr.write(`note: ${text}\n`);
  }

  /** The outcome of the verb: an object for `--json`, or else lines for people. */
  result(value: object, lines: () => readonly string[]): void {
    if (this.json) this.#stdout.write(`${JSON.stringify(value)}\n`);
    else this.print(lines());
  }
}
