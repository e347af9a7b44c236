import { environment, loadMpi, type MpiLibrary, type MpiRequest, mpiLibraryNames } from "#platform";
import { ConfigError } from "../base/errors.js";
import { LAUNCHER_NAMES, type Launcher } from "./launcher.js";
import type { Messages, Transport } from "./transport.js";

/** Exit code of a job that waited too long for one of its ranks: EX_TEMPFAIL, try again. */
export const WAITED_TOO_LONG = 75;

/** Bytes that are given to MPI at once, which counts them in 31 bits. */
const PART_BYTES = 2 ** 30;

/** Milliseconds of waiting without a pause. */
const SPIN = 0.2;
/** Later pauses are this share of the time waited, up to `LONGEST_PAUSE` milliseconds. */
const PAUSE_SHARE = 1 / 8;
const LONGEST_PAUSE = 1;

/** Options of {@link openMpi}. */
export interface MpiOptions {
  /** Null for a process that was started alone. */
  readonly launcher: Launcher | null;
  /** Longest wait for another rank, in seconds. */
  readonly timeoutSeconds: number;
  /** Says where a rank is when it has waited too long, such as `step 12`. */
  readonly place?: () => string;
  /** Largest part of a message, in bytes. */
  readonly partBytes?: number;
}

/**
 * The library that `HIGHRANK_MPI_LIBRARY` names, or else the first one, of the launcher's kind if there is one.
 * @throws ConfigError if there is none, or nothing to call it with.
 */
export function findMpi(launcher: Launcher | null): Promise<MpiLibrary> {
  const named = environment().HIGHRANK_MPI_LIBRARY;
  return loadMpi(named ? [named] : mpiLibraryNames(launcher?.kind === "mpich" ? "mpich" : "open-mpi"));
}

/**
 * Joins the job that this process was started in. All calls must come from the thread that made this one.
 * @throws ConfigError if there is no library, or it does not know the launcher's job.
 */
export async function openMpi(options: MpiOptions): Promise<MpiTransport> {
  const { launcher } = options;
  const library = await findMpi(launcher);
  const { rank, size } = library.initialize();
  if (launcher !== null && (rank !== launcher.rank || size !== (launcher.size ?? size))) {
    library.finalize();
    throw new ConfigError(
      `${LAUNCHER_NAMES[launcher.kind]} started ${launcher.size ?? "several"} processes, but ${library.name} (${library.version}) ` +
        `counts ${size}: they are of different kinds. ${wayOut(launcher.kind)}`,
    );
  }
  return new MpiTransport(library, rank, size, options);
}

function wayOut(kind: Launcher["kind"]): string {
  const orName = "name the launcher's library in HIGHRANK_MPI_LIBRARY";
  if (kind !== "slurm") return `Start with the mpirun of that library, or ${orName}`;
  return `Start with srun --mpi=pmix for Open MPI, --mpi=pmi2 for MPICH, or ${orName}`;
}

/** Messages through MPI. */
export class MpiTransport implements Transport {
  readonly rank: number;
  readonly size: number;
  readonly #library: MpiLibrary;
  readonly #options: MpiOptions;

  constructor(library: MpiLibrary, rank: number, size: number, options: MpiOptions) {
    this.rank = rank;
    this.size = size;
    this.#library = library;
    this.#options = options;
  }

  async exchange(messages: Messages): Promise<void> {
    const { send, receive } = messages;
    const [sent, received] = [this.#partsOf(send?.bytes), this.#partsOf(receive?.bytes)];
    for (let i = 0; i < Math.max(sent.length, received.length); i++) {
      const requests: MpiRequest[] = [];
      // What is expected comes first, so that it has a place when it arrives.
      if (i < received.length) requests.push(this.#library.receive(received[i]!, receive!.from));
      if (i < sent.length) requests.push(this.#library.send(sent[i]!, send!.to));
      await this.#wait(requests, messages);
    }
  }

  /** The parts of a message, at least one; none if there is no message. */
  #partsOf(bytes: Uint8Array | undefined): Uint8Array[] {
    if (bytes === undefined) return [];
    const { partBytes = PART_BYTES } = this.#options;
    const count = Math.max(1, Math.ceil(bytes.length / partBytes));
    return Array.from({ length: count }, (_, i) => bytes.subarray(i * partBytes, (i + 1) * partBytes));
  }

  async #wait(requests: readonly MpiRequest[], messages: Messages): Promise<void> {
    const started = performance.now();
    let pending = requests.filter((request) => !request.isDone());
    while (pending.length > 0) {
      const waited = performance.now() - started;
      if (waited > 1000 * this.#options.timeoutSeconds) this.#giveUp(messages);
      await pause(waited);
      pending = pending.filter((request) => !request.isDone());
    }
  }

  #giveUp({ send, receive }: Messages): never {
    const { place, timeoutSeconds } = this.#options;
    const where = place === undefined ? "" : `, ${place()}`;
    const others = [...new Set([receive?.from, send?.to])].filter((rank) => rank !== undefined).join(" or ");
    this.abort(
      `error: rank ${this.rank} of ${this.size}${where}: nothing from rank ${others} for ${timeoutSeconds} s; ` +
        `all ranks end with exit code ${WAITED_TOO_LONG}`,
      WAITED_TOO_LONG,
    );
  }

  async close(): Promise<void> {
    this.#library.finalize();
  }

  /** Ends all processes of the job with this exit code, after a line on standard error. */
  abort(line: string, exitCode: number): never {
    return this.#library.abort(line, exitCode);
  }
}

/**
 * Lets time pass, the more the longer was waited: messages between ranks that are in step arrive within microseconds,
 * and a core is not held by long waits. In those, the thread does other work.
 */
async function pause(waited: number): Promise<void> {
  if (waited < SPIN) return;
  const milliseconds = waited * PAUSE_SHARE;
  if (milliseconds < LONGEST_PAUSE) Atomics.wait(never(), 0, 0, milliseconds);
  else await new Promise((resolve) => setTimeout(resolve, LONGEST_PAUSE));
}

let unchanging: Int32Array | undefined;

/** Memory that no thread wakes another by. Made on first use, as pages that are not isolated cannot share any. */
function never(): Int32Array {
  unchanging ??= new Int32Array(new SharedArrayBuffer(4));
  return unchanging;
}
