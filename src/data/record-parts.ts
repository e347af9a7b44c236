import { append } from "../base/lists.js";
import type { DataRecord } from "./records.js";

/** Records in memory that are worked on at once: enough to pay for the processes that render chats. */
const PART = 2 ** 14;

/** Gives records in their order, some at a time, from the first each time it is called. */
type Reading = () => AsyncIterable<readonly DataRecord[]>;

/** Records in their order, which can be gone through any number of times. Only a part of them need be in memory. */
export class Records {
  readonly count: number;
  readonly #read: Reading;

  private constructor(count: number, read: Reading) {
    this.count = count;
    this.#read = read;
  }

  /** Records in memory. */
  static of(records: readonly DataRecord[]): Records {
    return new Records(records.length, async function* () {
      for (let start = 0; start < records.length; start += PART) yield records.slice(start, start + PART);
    });
  }

  /** Records that are read anew each time. */
  static from(count: number, read: Reading): Records {
    return new Records(count, read);
  }

  /** The records some at a time. @throws DataError if they cannot be read any more. */
  parts(): AsyncIterable<readonly DataRecord[]> {
    return this.#read();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<DataRecord, void> {
    for await (const part of this.parts()) yield* part;
  }

  map(change: (record: DataRecord) => DataRecord): Records {
    const read = this.#read;
    return new Records(this.count, async function* () {
      for await (const part of read()) yield part.map(change);
    });
  }

  /** @param count of the records whose index is kept. */
  where(isKept: (index: number) => boolean, count: number): Records {
    const read = this.#read;
    return new Records(count, async function* () {
      let first = 0;
      let left = count;
      for await (const part of read()) {
        const kept = part.filter((_, index) => isKept(first + index));
        first += part.length;
        left -= kept.length;
        if (kept.length > 0) yield kept;
        if (left === 0) return;
      }
    });
  }

  /** These records, and then others. */
  followedBy(others: Records): Records {
    const read = this.#read;
    return new Records(this.count + others.count, async function* () {
      yield* read();
      yield* others.parts();
    });
  }

  /** The first records, at most so many. */
  async first(count: number): Promise<DataRecord[]> {
    const records: DataRecord[] = [];
    for await (const part of this.parts()) {
      append(records, part.slice(0, count - records.length));
      if (records.length === count) break;
    }
    return records;
  }

  async all(): Promise<DataRecord[]> {
    const records: DataRecord[] = [];
    for await (const part of this.parts()) append(records, part);
    return records;
  }
}
