import { bytesOf } from "../base/arrays.js";
import { add, type Floats } from "./addition.js";
import type { Collective } from "./collective.js";
import type { Messages, Transport } from "./transport.js";

/**
 * Exchanges among all ranks, made of messages between two of them.
 *
 * Sums are those of Rabenseifner (recursive halving, then doubling), nearest rank first: ((r0 + r1) + (r2 + r3)) + ….
 * Each rank sends 2 (N - 1) / N of the values, where their number N is a power of two. The ranks beyond the largest
 * power of two first give their values to one below it, and get the sums at the end.
 */
export class TreeCollective implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #transport: Transport;
  /** The ranks below this power of two make the tree. */
  readonly #treeSize: number;
  #sentBytes = 0;
  /** Memory for what is received, which grows to the largest message. */
  #received = new ArrayBuffer(0);

  constructor(transport: Transport) {
    this.rank = transport.rank;
    this.size = transport.size;
    this.#transport = transport;
    this.#treeSize = 2 ** Math.floor(Math.log2(transport.size));
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  async sum(values: Floats): Promise<void> {
    const { rank, size } = this;
    const tree = this.#treeSize;
    if (rank >= tree) {
      await this.#send(rank - tree, bytesOf(values));
      await this.#receive(rank - tree, bytesOf(values));
      return;
    }
    const folded = rank + tree < size ? rank + tree : null;
    if (folded !== null) {
      const others = this.#roomFor(values);
      await this.#receive(folded, bytesOf(others));
      add(values, others, values);
    }
    await this.#sumInTree(values, 1);
    if (folded !== null) await this.#send(folded, bytesOf(values));
  }

  /** Sums over the groups of ranks that differ in the bits from `bit` up. */
  async #sumInTree(values: Floats, bit: number): Promise<void> {
    if (bit >= this.#treeSize) return;
    const partner = this.rank ^ bit;
    const isLower = this.rank < partner;
    const middle = values.length >> 1;
    const halves = [values.subarray(0, middle), values.subarray(middle)] as const;
    const [own, given] = isLower ? halves : [halves[1], halves[0]];
    const others = this.#roomFor(own);
    await this.#swap(partner, bytesOf(given), bytesOf(others));
    if (isLower) add(own, others, own);
    else add(others, own, own);
    await this.#sumInTree(own, 2 * bit);
    await this.#swap(partner, bytesOf(own), bytesOf(given));
  }

  async gather(values: Int32Array): Promise<Int32Array[]> {
    const { rank, size } = this;
    const lengths = new Float64Array(size);
    lengths[rank] = values.length;
    await this.sum(lengths);
    const all = Array.from(lengths, (length, each) => (each === rank ? values : new Int32Array(length)));
    // Around the ring: each rank passes on what it got last.
    const [next, previous] = [(rank + 1) % size, (rank + size - 1) % size];
    for (let step = 0; step < size - 1; step++) {
      const [sent, received] = [all[(rank + size - step) % size]!, all[(previous + size - step) % size]!];
      const send = { to: next, bytes: bytesOf(sent) };
      await this.#exchange({ send, receive: { from: previous, bytes: bytesOf(received) } });
    }
    return all;
  }

  async broadcast(bytes: Uint8Array): Promise<Uint8Array> {
    const length = Float64Array.of(bytes.length);
    await this.#spread(bytesOf(length));
    const all = this.rank === 0 ? bytes : new Uint8Array(length[0]!);
    await this.#spread(all);
    return all;
  }

  /** Puts the bytes of rank 0 in place of these: in each round, those who have them tell as many others. */
  async #spread(bytes: Uint8Array): Promise<void> {
    for (let knowing = 1; knowing < this.size; knowing *= 2) {
      if (this.rank < knowing) {
        if (this.rank + knowing < this.size) await this.#send(this.rank + knowing, bytes);
      } else if (this.rank < 2 * knowing) await this.#receive(this.rank - knowing, bytes);
    }
  }

  /** A sum needs a message from everyone. */
  barrier(): Promise<void> {
    return this.sum(new Float64Array(1));
  }

  async close(): Promise<void> {
    await this.barrier();
    await this.#transport.close();
  }

  #send(to: number, bytes: Uint8Array): Promise<void> {
    return this.#exchange({ send: { to, bytes } });
  }

  #receive(from: number, bytes: Uint8Array): Promise<void> {
    return this.#exchange({ receive: { from, bytes } });
  }

  #swap(partner: number, sent: Uint8Array, received: Uint8Array): Promise<void> {
    return this.#exchange({ send: { to: partner, bytes: sent }, receive: { from: partner, bytes: received } });
  }

  #exchange(messages: Messages): Promise<void> {
    this.#sentBytes += messages.send?.bytes.length ?? 0;
    return this.#transport.exchange(messages);
  }

  /** As many numbers as these, of the same type; their memory is used again for the next. */
  #roomFor(values: Floats): Floats {
    if (this.#received.byteLength < values.byteLength) this.#received = new ArrayBuffer(values.byteLength);
    const { length } = values;
    return values instanceof Float32Array
      ? new Float32Array(this.#received, 0, length)
      : new Float64Array(this.#received, 0, length);
  }
}
