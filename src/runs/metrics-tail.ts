import { collectGarbage, exists, type FileReader, fileStamp, openForReading } from "#platform";
import { orCheckpointError } from "../files/open-file.js";
import { type MetricsRecord, parseRecord } from "./metrics.js";

/** Bytes that are read at a time, and so the longest line. */
const CHUNK_BYTES = 2 ** 20;
/** Bytes before the place up to which a file was read that are compared, to see whether it was written anew. */
const COMPARED_BYTES = 256;

/** Chunks of a long file between collections of what was made of them. */
const CHUNKS_TO_COLLECT = 4;

const NEWLINE = 0x0a;

/** Hears what a {@link MetricsTail} reads. */
export interface MetricsListener {
  onRecord(record: MetricsRecord): void;
  /** A line that is not a record, and is left out; `line` counts from 1. */
  onFault(line: number, fault: string): void;
  /** The file was written anew, as by a resume: what was heard before is void. */
  onRestart(): void;
}

/** Reads a `metrics.jsonl` while a run appends to it, each line once. Memory does not grow with the file. */
export class MetricsTail {
  readonly #path: string;
  readonly #listener: MetricsListener;
  /** Where the first line begins that was not read yet. */
  #offset = 0;
  #lines = 0;
  #before = new Uint8Array();
  #stamp = "";
  /** True in the midst of a line that is longer than a chunk. */
  #skips = false;

  constructor(path: string, listener: MetricsListener) {
    this.#path = path;
    this.#listener = listener;
  }

  /**
   * Reads the lines that were finished since the last call. Returns true if there were any, or the file was written
   * anew. Of a file that is not there, or no longer, nothing is new.
   * @throws CheckpointError if it cannot be read.
   */
  async read(): Promise<boolean> {
    if (!(await exists(this.#path))) return false;
    const stamp = await orCheckpointError(fileStamp(this.#path));
    if (stamp === this.#stamp) return false;
    const reader = await orCheckpointError(openForReading(this.#path));
    try {
      const isNew = !(await this.#isSameFile(reader)) && this.#restart();
      const isLonger = await this.#readLines(reader);
      this.#stamp = stamp;
      return isNew || isLonger;
    } finally {
      await reader.close();
    }
  }

  /** Forgets what was read. Returns false if that was nothing. */
  #restart(): boolean {
    if (this.#offset === 0) return false;
    this.#offset = this.#lines = 0;
    this.#before = new Uint8Array();
    this.#stamp = "";
    this.#skips = false;
    this.#listener.onRestart();
    return true;
  }

  async #isSameFile(reader: FileReader): Promise<boolean> {
    const before = this.#before;
    if (reader.size < this.#offset) return false;
    const now = await reader.read(this.#offset - before.length, before.length);
    return now.every((byte, index) => byte === before[index]);
  }

  async #readLines(reader: FileReader): Promise<boolean> {
    const start = this.#offset;
    for (let chunks = 0; this.#offset < reader.size; chunks++) {
      // Garbage of one chunk beside that of many others would be most of the memory of the process.
      if (chunks % CHUNKS_TO_COLLECT === CHUNKS_TO_COLLECT - 1) collectGarbage();
      const chunk = await reader.read(this.#offset, Math.min(CHUNK_BYTES, reader.size - this.#offset));
      const end = chunk.lastIndexOf(NEWLINE) + 1;
      if (end === 0 && chunk.length < CHUNK_BYTES) break;
      const length = end === 0 ? chunk.length : end;
      if (end === 0) this.#skips = true;
      else this.#take(new TextDecoder().decode(chunk.subarray(0, end - 1)).split("\n"));
      this.#offset += length;
      this.#before = chunk.slice(Math.max(0, length - COMPARED_BYTES), length);
    }
    return this.#offset > start;
  }

  #take(lines: readonly string[]): void {
    for (const line of lines) {
      this.#lines++;
      const record = this.#skips ? `longer than ${CHUNK_BYTES} bytes` : line.trim() === "" ? null : parseRecord(line);
      this.#skips = false;
      if (typeof record === "string") this.#listener.onFault(this.#lines, record);
      else if (record !== null) this.#listener.onRecord(record);
    }
  }
}
