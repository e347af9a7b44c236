/** What a call does: `create` is an open for writing, `open` one for reading. */
export type CallKind =
  | "create"
  | "open"
  | "read"
  | "write"
  | "sync"
  | "close"
  | "stat"
  | "readdir"
  | "mkdir"
  | "rename"
  | "link"
  | "rm"
  | "truncate";

/** A call that was seen. */
export interface Call {
  readonly kind: CallKind;
  /** Relative to the watched folder; the new name of a rename or link. */
  readonly path: string;
}

export interface FaultOptions {
  /** Only calls on paths in this folder are seen. */
  readonly folder: string;
  /** Only these kinds are seen; all without it. */
  readonly kinds?: readonly CallKind[];
  /** The call that goes wrong, from 1; without it none does, and the calls are counted. */
  readonly at?: number;
  /**
   * `fail` rejects with `code`. `kill` ends the process with SIGKILL. `dead` rejects that call and all after it, which leaves
   * what a kill would leave, in a process that goes on.
   */
  readonly mode?: "fail" | "kill" | "dead";
  /**
   * Whether it goes wrong before the call has done anything, after it has done all, or halfway: a write or read of half the bytes,
   * which returns so and only the next one rejects; a removal of half of what the folder holds. A failed `close` always closes.
   */
  readonly when?: "before" | "half" | "after";
  /** As the operating system says it: `EIO` without it. */
  readonly code?: string;
  /**
   * Makes the calls in the folder that do not go wrong, whole or half: the name of the function or, for a file that is open, of
   * its method; the arguments as text, for an open file its path alone.
   */
  readonly observe?: (name: string, args: readonly string[], make: () => Promise<unknown>) => Promise<unknown>;
}

export interface Faults {
  /** In their order, the faulty one among them. */
  readonly calls: readonly Call[];
  /** Back to what Node.js does. */
  remove(): void;
}

/** The kinds of calls that may stop halfway. */
export const HALVES: readonly CallKind[];

/** Has one call into `node:fs/promises` of this thread go wrong. Once at a time. */
export function installFaults(options: FaultOptions): Faults;
