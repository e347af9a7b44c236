import { forCommandLine } from "../base/naming.js";
import { formatBytes, formatDuration, formatShare } from "../base/numbers.js";
import type { DownloadEvents, DownloadProgress } from "../hub/model-download.js";
import type { DataProgress } from "../training/read-data.js";
import type { Outlet } from "./outlet.js";
import { ProgressLine } from "./progress-line.js";
import { type Environment, type Style, singleLine, styleFor, textWidth } from "./terminal.js";

/** Options of {@link DownloadView}; the clock, in milliseconds, can be replaced in tests. */
export interface DownloadViewOptions {
  readonly env?: Environment;
  readonly now?: () => number;
}

/**
 * Shows the progress of a download, an upload, and of preparing large data: on an interactive terminal in a line that is redrawn,
 * elsewhere in a new line every ten seconds; and at the end what was downloaded or sent.
 */
export class DownloadView implements DownloadEvents {
  readonly #outlet: Outlet;
  readonly #line: ProgressLine;
  readonly #style: Style;
  readonly #now: () => number;
  /** The present work on the data, and when it began. */
  #stage: { readonly name: DataProgress["stage"]; readonly at: number; share: number } | undefined;
  /** Where the present download began; bytes from before say nothing about its speed. */
  #start: { readonly at: number; readonly done: number } | undefined;

  constructor(outlet: Outlet, { env = {}, now = () => performance.now() }: DownloadViewOptions = {}) {
    this.#outlet = outlet;
    this.#line = new ProgressLine(outlet, env);
    this.#style = styleFor(outlet, env);
    this.#now = now;
  }

  readonly onDownload = (progress: DownloadProgress): void => this.#show(progress, "downloaded");

  readonly onUpload = (progress: DownloadProgress): void => this.#show(progress, "sent");

  #show(progress: DownloadProgress, verb: "downloaded" | "sent"): void {
    const now = this.#now();
    const { done, total } = progress;
    this.#start ??= { at: now, done };
    const seconds = (now - this.#start.at) / 1000;
    if (done >= total) {
      this.#start = undefined;
      this.#print(downloadedLine(progress, seconds, this.#style, verb));
      return;
    }
    const rate = seconds > 0 ? (done - this.#start.done) / seconds : 0;
    this.#line.show(now, (columns) => downloadLine(progress, rate, columns, this.#style));
  }

  readonly onPreparing = ({ stage, share }: DataProgress): void => {
    const now = this.#now();
    // Held-out texts are encoded after the others.
    if (stage !== this.#stage?.name || share < this.#stage.share) this.#stage = { name: stage, at: now, share };
    this.#stage.share = share;
    if (share >= 1) {
      this.clear();
      return;
    }
    const left = share > 0 ? (((now - this.#stage.at) / 1000) * (1 - share)) / share : 0;
    this.#line.show(now, () => preparingLine(stage, share, left, this.#style));
  };

  readonly onNotice = (text: string): void => this.#print(forCommandLine(text));

  /** Removes the line that is redrawn, so that other text can follow. */
  clear(): void {
    this.#line.clear();
  }

  #print(line: string): void {
    this.clear();
    this.#outlet.print([line]);
  }
}

/**
 * `org/name 23.4% 126 MiB of 538 MiB 12.3 MiB/s 34s left model.safetensors`; the last parts go where `columns` are
 * too few.
 */
export function downloadLine(
  { model, file, done, total }: DownloadProgress,
  bytesPerSecond: number,
  columns: number,
  style: Style,
): string {
  const left = bytesPerSecond > 0 ? `${formatDuration((total - done) / bytesPerSecond)} left` : "";
  const speed = bytesPerSecond > 0 ? `${formatBytes(bytesPerSecond)}/s` : "";
  const parts = [
    formatShare(Math.floor((1000 * done) / total) / 1000),
    `${formatBytes(done)} of ${formatBytes(total)}`,
    speed,
    left,
    singleLine(file),
  ].filter((part) => part !== "");
  let line = style.dim(model);
  let width = textWidth(model);
  for (const part of parts) {
    width += 2 + textWidth(part);
    if (width > columns) break;
    line += `  ${part}`;
  }
  return line;
}

const STAGES: Readonly<Record<DataProgress["stage"], string>> = {
  reading: "reading the data",
  splitting: "choosing what is held out",
  sampling: "taking a sample for the tokenizer",
  encoding: "encoding the text",
};

/** `encoding the text  34.2%  12s left` */
function preparingLine(stage: DataProgress["stage"], share: number, secondsLeft: number, style: Style): string {
  const left = secondsLeft > 0 ? `  ${formatDuration(secondsLeft)} left` : "";
  return `${style.dim(STAGES[stage])}  ${formatShare(Math.floor(1000 * share) / 1000)}${left}`;
}

/** The last line of a download, or of an upload. */
export function downloadedLine(
  { model, total }: DownloadProgress,
  seconds: number,
  style: Style,
  verb: "downloaded" | "sent" = "downloaded",
): string {
  return `${style.dim(model)}  ${formatBytes(total)} ${verb} in ${formatDuration(seconds)}`;
}
