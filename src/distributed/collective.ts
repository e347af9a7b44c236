/** The processes that train one model together, as one of them sees them. All of them make the same calls in order. */
export interface Collective {
  /** The place of this process, from 0. */
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;
  /** Bytes that this process has sent so far. */
  readonly sentBytes: number;

  /**
   * Puts the sums over all ranks in place of the values; every rank gets the same bits. The ranks are added up as a
   * binary tree, so that where their number is a power of two, halves of them give what one rank would that adds up
   * its parts in the same way.
   */
  sum(values: Float32Array | Float64Array): Promise<void>;

  /** The values of each rank, by rank. Their numbers may differ. */
  gather(values: Int32Array): Promise<Int32Array[]>;

  /** The bytes of rank 0. Those of the other ranks are ignored. */
  broadcast(bytes: Uint8Array): Promise<Uint8Array>;

  /** Waits for all ranks. */
  barrier(): Promise<void>;

  /** Leaves the others, who must leave as well. */
  close(): Promise<void>;
}

/** One process that trains by itself. */
export const ALONE: Collective = {
  rank: 0,
  size: 1,
  sentBytes: 0,
  sum: async () => {},
  gather: async (values) => [values],
  broadcast: async (bytes) => bytes,
  barrier: async () => {},
  close: async () => {},
};
