/** Messages between the ranks of a job. */
export interface Transport {
  /** The place of this process, from 0. */
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;

  /**
   * Sends to one rank and receives from one, at the same time; either may be left out. A message is received into
   * exactly as many bytes as it was sent with, of any number. Messages between two ranks arrive in order.
   * @throws DeviceError when a rank does not answer in time.
   */
  exchange(messages: {
    readonly send?: { readonly to: number; readonly bytes: Uint8Array };
    readonly receive?: { readonly from: number; readonly bytes: Uint8Array };
  }): Promise<void>;

  /** Leaves the job. */
  close(): Promise<void>;
}
