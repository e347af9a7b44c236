import { ALONE, type Collective } from "../src/distributed/collective.js";
import type { Messages, Transport } from "../src/distributed/transport.js";
import { TreeCollective } from "../src/distributed/tree-collective.js";

/** What a rank has exchanged so far. */
export interface Counts {
  /** Time in exchanges, which is also that of waiting for other ranks. */
  readonly exchangeMs: number;
  readonly sentBytes: number;
  /** Messages sent. */
  readonly messages: number;
}

/** Ranks whose exchanges are counted and timed. */
export class MeasuredRanks implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #ranks: Collective;
  #exchangeMs = 0;
  #messages = 0;

  /** @param transport null for a process by itself. */
  constructor(transport: Transport | null) {
    this.#ranks = transport === null ? ALONE : new TreeCollective(this.#counted(transport));
    this.rank = this.#ranks.rank;
    this.size = this.#ranks.size;
  }

  #counted(transport: Transport): Transport {
    return {
      rank: transport.rank,
      size: transport.size,
      exchange: (messages: Messages) => {
        if (messages.send !== undefined) this.#messages++;
        return transport.exchange(messages);
      },
      close: () => transport.close(),
    };
  }

  get counts(): Counts {
    return { exchangeMs: this.#exchangeMs, sentBytes: this.sentBytes, messages: this.#messages };
  }

  get sentBytes(): number {
    return this.#ranks.sentBytes;
  }

  sum(values: Float32Array | Float64Array): Promise<void> {
    return this.#timed(() => this.#ranks.sum(values));
  }

  gather(values: Int32Array): Promise<Int32Array[]> {
    return this.#timed(() => this.#ranks.gather(values));
  }

  broadcast(bytes: Uint8Array): Promise<Uint8Array> {
    return this.#timed(() => this.#ranks.broadcast(bytes));
  }

  barrier(): Promise<void> {
    return this.#timed(() => this.#ranks.barrier());
  }

  close(): Promise<void> {
    return this.#ranks.close();
  }

  async #timed<T>(exchange: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await exchange();
    this.#exchangeMs += performance.now() - start;
    return result;
  }
}
