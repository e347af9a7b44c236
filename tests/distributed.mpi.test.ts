import { execFile } from "node:child_process";
import { cp, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { isMissing, LIBRARIES, mpirun } from "./mpi/mpirun.js";
import { withFolder } from "./run-command.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const RANK = path.join(ROOT, "tests/mpi/rank.js");

/** The names under which the system's loader finds the libraries. */
const FILES = { openmpi: "libmpi.so.40", mpich: "libmpich.so.12" } as const;

/** What each rank printed, by rank where that is part of it. */
function printed(stdout: string): Record<string, unknown>[] {
  const lines = stdout.trim().split(/\r?\n/);
  return lines.map((line) => JSON.parse(line)).sort((a, b) => a.rank - b.rank);
}

/** For each number of ranks, the hash of what they exchange as tasks of one process. */
const inMemory = new Map<number, Record<string, unknown>[]>();

beforeAll(async () => {
  for (const size of [2, 3, 4]) {
    const { stdout } = await promisify(execFile)(process.execPath, [RANK, "memory", String(size)]);
    inMemory.set(size, printed(stdout));
  }
});

describe.each(LIBRARIES)("%s", (library) => {
  describe.skipIf(isMissing(library))("as it is installed", () => {
    test.skipIf(library !== "mpich")("UCX rewrites no functions, unless the user asks for it", async () => {
      for (const [env, hooks] of [
        [{}, "no"],
        [{ UCX_MEM_EVENTS: "yes" }, "yes"],
      ] as const) {
        const { stdout } = await mpirun(library, 2, [RANK, "--thread", "hooks"], { env });
        expect(printed(stdout)).toEqual([
          { rank: 0, hooks },
          { rank: 1, hooks },
        ]);
      }
    });

    test.each([2, 3, 4])("%i ranks exchange what tasks of one process do, to the bit", async (size) => {
      const { code, stdout, stderr } = await mpirun(library, size, [RANK, "exchanges"]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const byRank = printed(stdout);
      expect(byRank).toEqual(inMemory.get(size));
      expect(new Set(byRank.map(({ sha256 }) => sha256)).size).toBe(1);
    });

    test("messages in parts arrive whole", async () => {
      const { code, stdout } = await mpirun(library, 2, [RANK, "exchanges", "1000"]);
      const byRank = printed(stdout);
      expect({ code, byRank }).toEqual({ code: 0, byRank: inMemory.get(2) });
    });

    test("worker threads, in which runs train, exchange as well", async () => {
      const { code, stdout, stderr } = await mpirun(library, 2, [RANK, "--thread", "exchanges"]);
      const byRank = printed(stdout);
      expect({ code, stderr, byRank }).toEqual({ code: 0, stderr: "", byRank: inMemory.get(2) });
    });

    test.each([[["hang"]], [["--thread", "hang"]]])(
      "%j: a rank that does not come ends the job with 75",
      async (work) => {
        const { code, stderr } = await mpirun(library, 2, [RANK, ...work]);
        const line = "error: rank 0 of 2, step 12: nothing from rank 1 for 1 s; all ranks end with exit code 75\n";
        expect(stderr).toContain(line);
        expect(code).toBe(75);
      },
    );

    test("a rank that waits takes no core", async () => {
      const { stdout } = await mpirun(library, 2, [RANK, "wait"]);
      expect(printed(stdout)[0]!.share).toBeLessThan(0.2);
    });

    test("ranks share the cores of the machine", async () => {
      const { stdout } = await mpirun(library, 2, [RANK, "threads"]);
      const threads = Math.max(1, Math.floor(availableParallelism() / 2));
      expect(printed(stdout).map((each) => each.threads)).toEqual([threads, threads]);
    });

    test("a library of the other kind is refused, by name and with the way out", async () => {
      const other = library === "openmpi" ? "mpich" : "openmpi";
      const { code, stdout, stderr } = await mpirun(library, 2, [RANK, "exchanges"], {
        env: { HIGHRANK_MPI_LIBRARY: FILES[other] },
      });
      expect(stdout).not.toContain("sha256");
      expect(stderr).toMatch(
        new RegExp(
          `ConfigError: mpirun of ${library === "openmpi" ? "Open MPI" : "MPICH"} started 2 processes, but ` +
            `${FILES[other]} \\((MPICH|Open MPI)[^)]+\\) counts 1: they are of different kinds\\. Start with the mpirun ` +
            "of that library, or name the launcher's library in HIGHRANK_MPI_LIBRARY\n",
        ),
      );
      expect(code).not.toBe(0);
    });

    test("a library that HIGHRANK_MPI_LIBRARY names and that is not there is refused", async () => {
      const { code, stderr } = await mpirun(library, 2, [RANK, "exchanges"], {
        env: { HIGHRANK_MPI_LIBRARY: "/nowhere/libmpi.so" },
      });
      expect(stderr).toMatch(/ConfigError: no MPI library can be loaded \(\/nowhere\/libmpi\.so: .*No such file/);
      expect(code).toBe(2);
    });

    test("doctor names launcher and library, once", async () => {
      const { code, stdout } = await mpirun(library, 2, [path.join(ROOT, "bin/highrank.js"), "doctor"]);
      const name = library === "openmpi" ? "Open MPI" : "MPICH";
      expect(stdout).toMatch(new RegExp(`^MPI +${name} v?\\d\\S+ \\(${FILES[library]}\\), koffi \\d`, "m"));
      expect(stdout.match(/^launcher .*$/gm)).toEqual([`launcher      mpirun of ${name}, rank 0 of 2`]);
      expect(code).toBe(0);
    });

    test("without koffi, the error names it", () =>
      withFolder({}, async (folder) => {
        // From here, no node_modules are found.
        for (const part of ["dist", "package.json", "tests/mpi/rank.js"]) {
          await cp(path.join(ROOT, part), path.join(folder, part), { recursive: true });
        }
        const { code, stderr } = await mpirun(library, 2, ["tests/mpi/rank.js", "exchanges"], { cwd: folder });
        const { optionalDependencies } = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8"));
        expect(stderr).toMatch(/ConfigError: .* the package koffi, which is not installed .*; npm install koffi@\d/);
        expect(stderr).toContain(`npm install koffi@${optionalDependencies.koffi}\n`);
        expect(code).toBe(2);
      }));
  });
});
