import { ALONE, type Collective } from "./collective.js";

/** Ways to train on several processes. */
export const DISTRIBUTIONS = ["auto", "none", "mpi"] as const;

/** What a process is to do about others. */
export interface JobOptions {
  /** `auto`: `mpi` where a launcher has started more than one process, else `none`. */
  readonly distributed: (typeof DISTRIBUTIONS)[number];
  /** Seconds after which a rank that does not answer ends the job. */
  readonly mpiTimeout: number;
}

/**
 * Works among the processes of the job that this one was started in, and leaves them afterwards. Work that failed does
 * not leave, since others may wait for it: the process is to end with a code that is not 0, which ends the job.
 * @param ranks those that are known already.
 */
export async function amongRanks<T>(
  options: JobOptions,
  ranks: Collective | undefined,
  work: (ranks: Collective) => Promise<T>,
): Promise<T> {
  if (ranks !== undefined) return work(ranks);
  const joined = await join(options);
  const result = await work(joined);
  await joined.close();
  return result;
}

async function join(_options: JobOptions): Promise<Collective> {
  return ALONE;
}
