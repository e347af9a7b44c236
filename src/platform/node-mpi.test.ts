import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { loadMpi, mpiLibraryNames } from "./node-mpi.js";

test("the libraries of the launcher's kind are tried first", () => {
  expect(mpiLibraryNames("open-mpi")[0]).toMatch(/^libmpi\.(so\.40|40\.dylib)$/);
  expect(mpiLibraryNames("mpich")[0]).toMatch(/^(libmpich\.so\.12|libmpi\.12\.dylib)$/);
  expect(mpiLibraryNames("mpich").sort()).toEqual(mpiLibraryNames("open-mpi").sort());
});

test("where there is no library, the error has what was tried, why it failed and the way out", async () => {
  const attempt = loadMpi(["libnone.so.1", "libnone.so.2"]);
  await expect(attempt).rejects.toThrow(ConfigError);
  await expect(attempt).rejects.toThrow(
    /^no MPI library can be loaded \(libnone\.so\.1, libnone\.so\.2: .+\)\. Install/,
  );
  await expect(attempt).rejects.toThrow("HIGHRANK_MPI_LIBRARY");
});

test("a file that is no library, and a library that is not one of MPI, are none", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-mpi-"));
  const file = path.join(folder, "libmpi.so");
  await writeFile(file, "not a library");
  await expect(loadMpi([file])).rejects.toThrow(/can be loaded \(.+libmpi\.so: .+\)/);
  await rm(folder, { recursive: true });
  if (process.platform === "linux") await expect(loadMpi(["libm.so.6"])).rejects.toThrow("MPI_Get_library_version");
});
