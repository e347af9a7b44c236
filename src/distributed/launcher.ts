/** What started this process as one of several. */
export interface Launcher {
  readonly kind: "open-mpi" | "mpich" | "slurm" | "pmix";
  /** The place of this process, from 0. */
  readonly rank: number;
  /** The number of processes; null if the launcher does not tell it. */
  readonly size: number | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Names of launchers in messages. */
export const LAUNCHER_NAMES: Readonly<Record<Launcher["kind"], string>> = {
  "open-mpi": "mpirun of Open MPI",
  mpich: "mpirun of MPICH",
  slurm: "srun of Slurm",
  pmix: "a launcher with PMIx",
};

/** From here on, Slurm's numbers of steps are not those of srun: batch scripts, interactive shells. */
const FIRST_SPECIAL_STEP = 0xfffffff0;

/**
 * The launcher according to the environment, which for Open MPI, MPICH and their kin is that of mpirun, and for Slurm
 * that of a step of srun; null for a process that was started alone. A batch script of Slurm is alone, whatever its job
 * has allocated.
 */
export function launcherOf(environment: Environment): Launcher | null {
  const number = (name: string): number | null => {
    const text = environment[name];
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
  };
  const known: readonly [kind: Launcher["kind"], rank: number | null, size: number | null][] = [
    ["open-mpi", number("OMPI_COMM_WORLD_RANK"), number("OMPI_COMM_WORLD_SIZE")],
    ["mpich", number("PMI_RANK"), number("PMI_SIZE")],
    ["slurm", isStep(number("SLURM_STEP_ID")) ? number("SLURM_PROCID") : null, number("SLURM_STEP_NUM_TASKS")],
  ];
  for (const [kind, rank, size] of known) {
    if (rank !== null && size !== null) return size > 1 ? { kind, rank, size } : null;
  }
  const rank = number("PMIX_RANK");
  return rank === null ? null : { kind: "pmix", rank, size: null };
}

function isStep(id: number | null): boolean {
  return id !== null && id < FIRST_SPECIAL_STEP;
}
