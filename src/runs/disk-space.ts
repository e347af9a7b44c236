import { freeDiskBytes } from "#platform";
import { InterruptedError } from "../base/errors.js";
import { formatBytes } from "../base/numbers.js";

/** Left free beside what is written: small files, and what the file system takes for itself. */
const MARGIN_BYTES = 2 ** 20;

/** The way to wait for a disk that is full. */
export interface DiskWait {
  /** Told once what the run waits for. */
  readonly onNotice: (text: string) => void;
  readonly stopRequested: () => boolean;
  /** Default: as the file system says. */
  readonly freeBytes?: (folder: string) => Promise<number>;
  readonly pauseMs?: number;
}

/**
 * Resolves when the disk that holds the folder has room for `bytes` more: at once, or when somebody has made room.
 * @param purpose names the file to be written.
 * @throws InterruptedError when the run is asked to stop while it waits.
 */
export async function waitForSpace(
  folder: string,
  bytes: number,
  purpose: string,
  { onNotice, stopRequested, freeBytes = freeDiskBytes, pauseMs = 2000 }: DiskWait,
): Promise<void> {
  const needed = bytes + MARGIN_BYTES;
  for (let waiting = false; ; waiting = true) {
    const free = await freeBytes(folder);
    if (free >= needed) return;
    const needs = `${purpose} needs ${formatBytes(needed)} on the disk of ${folder}`;
    const lack = `${needs}, which has ${formatBytes(free)} free`;
    if (stopRequested()) {
      throw new InterruptedError(
        `${lack}; nothing was written and the last checkpoint is whole: make room, then resume`,
      );
    }
    if (!waiting) onNotice(`Paused: ${lack}. Training goes on as soon as there is room.`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
