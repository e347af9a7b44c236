import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { writeFault } from "./file-faults.js";

/** Lets work use a new folder, which goes when it ends. @throws CheckpointError if none can be made. */
export async function withTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-")).catch((error: unknown) => {
    throw writeFault(tmpdir(), error);
  });
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
