import { environment } from "#platform";
import { ALONE, type Collective } from "./collective.js";
import { launcherOf } from "./launcher.js";
import { openMpi } from "./mpi-transport.js";
import { TreeCollective } from "./tree-collective.js";

/** Ways to train on several processes. */
export const DISTRIBUTIONS = ["auto", "none", "mpi"] as const;

/** What a process is to do about others. */
export interface JobOptions {
  /** `auto`: `mpi` where a launcher has started more than one process, else `none`. */
  readonly distributed: (typeof DISTRIBUTIONS)[number];
  /** Seconds after which a rank that does not answer ends the job. */
  readonly mpiTimeout: number;
  /** Says where this process is, such as `step 12`, when another does not answer. */
  readonly place: () => string;
}

/**
 * Works among the processes of the job that this one was started in, and leaves them afterwards. Work that failed does
 * not leave, since others may wait for it: the process is to end with a code that is not 0, which ends the job.
 * @param known the ranks, where there are some already.
 * @throws ConfigError where a launcher has started several processes, and they cannot reach one another.
 */
export async function amongRanks<T>(
  options: JobOptions,
  known: Collective | undefined,
  work: (ranks: Collective) => Promise<T>,
): Promise<T> {
  const ranks = known ?? (await join(options));
  const result = await work(ranks);
  await ranks.close();
  return result;
}

async function join({ distributed, mpiTimeout: timeoutSeconds, place }: JobOptions): Promise<Collective> {
  const launcher = launcherOf(environment());
  if (distributed === "none" || (distributed === "auto" && launcher === null)) return ALONE;
  return new TreeCollective(await openMpi({ launcher, timeoutSeconds, place }));
}
