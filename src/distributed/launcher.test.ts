import { expect, test } from "vitest";
import { launcherOf } from "./launcher.js";

const OPEN_MPI = {
  OMPI_COMM_WORLD_RANK: "1",
  OMPI_COMM_WORLD_SIZE: "4",
  OMPI_COMM_WORLD_LOCAL_SIZE: "2",
  PMIX_RANK: "1",
};
const MPICH = { PMI_RANK: "0", PMI_SIZE: "2", MPI_LOCALNRANKS: "2", MPI_LOCALRANKID: "0" };
/** Of a batch script, which runs once. */
const BATCH = { SLURM_JOB_ID: "7", SLURM_NTASKS: "8", SLURM_PROCID: "0", SLURM_NODEID: "0" };
const STEP = { ...BATCH, SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "8", SLURM_PROCID: "5" };

test("each launcher is known by what it sets", () => {
  expect(launcherOf(OPEN_MPI)).toEqual({ kind: "open-mpi", rank: 1, size: 4 });
  expect(launcherOf(MPICH)).toEqual({ kind: "mpich", rank: 0, size: 2 });
  expect(launcherOf(STEP)).toEqual({ kind: "slurm", rank: 5, size: 8 });
  expect(launcherOf({ ...STEP, PMIX_RANK: "5" })).toEqual({ kind: "slurm", rank: 5, size: 8 });
  expect(launcherOf({ PMIX_RANK: "3" })).toEqual({ kind: "pmix", rank: 3, size: null });
});

test("mpirun within a job of Slurm, and srun for MPICH, are those that the library asks", () => {
  expect(launcherOf({ ...STEP, ...OPEN_MPI })).toMatchObject({ kind: "open-mpi", size: 4 });
  expect(launcherOf({ ...STEP, PMI_RANK: "5", PMI_SIZE: "8" })).toEqual({ kind: "mpich", rank: 5, size: 8 });
});

test("one process is alone, as is a batch script of Slurm, whatever its job has", () => {
  expect(launcherOf({})).toBeNull();
  expect(launcherOf({ OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "1", PMIX_RANK: "0" })).toBeNull();
  expect(launcherOf({ PMI_RANK: "0", PMI_SIZE: "1" })).toBeNull();
  expect(launcherOf(BATCH)).toBeNull();
  for (const SLURM_STEP_ID of ["4294967294", "4294967291", "4294967290"]) {
    expect(launcherOf({ ...BATCH, SLURM_STEP_ID, SLURM_STEP_NUM_TASKS: "8" })).toBeNull();
  }
  expect(launcherOf({ ...STEP, SLURM_STEP_NUM_TASKS: "1", SLURM_PROCID: "0", PMIX_RANK: "0" })).toBeNull();
});

test("values that are no numbers are not a launcher's", () => {
  expect(launcherOf({ OMPI_COMM_WORLD_RANK: "", OMPI_COMM_WORLD_SIZE: "2" })).toBeNull();
  expect(launcherOf({ PMI_RANK: "0", PMI_SIZE: "-2" })).toBeNull();
});
