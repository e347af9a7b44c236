/** What a rank sends to one rank and receives from one, at the same time. Either may be left out. */
export interface Messages {
  readonly send?: { readonly to: number; readonly bytes: Uint8Array };
  /** The bytes are overwritten. */
  readonly receive?: { readonly from: number; readonly bytes: Uint8Array };
}

/** Messages between the ranks of a job. */
export interface Transport {
  /** The place of this process, from 0. */
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;

  /**
   * Sends and receives. A message is received into exactly as many bytes as it was sent with, of any number. Messages
   * between two ranks arrive in order. Call it again only when it is done.
   */
  exchange(messages: Messages): Promise<void>;

  /** Leaves the job. */
  close(): Promise<void>;
}
