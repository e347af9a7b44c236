import process from "node:process";
import { koffiVersion } from "#platform";
import { HighrankError } from "../base/errors.js";
import { launcherOf } from "../distributed/launcher.js";
import { findMpi } from "../distributed/mpi-transport.js";

/** What several processes would reach one another through. */
export interface MpiCheck {
  /** The version of koffi; null if it is not installed or does not load. */
  readonly koffi: string | null;
  /** The file that is loaded; null if there is none. */
  readonly library: string | null;
  /** What the library calls itself. */
  readonly version: string | null;
  /** Why there is none. */
  readonly fault: string | null;
}

// Run as a program of its own by `doctor`.

const check: MpiCheck = { koffi: await koffiVersion(), library: null, version: null, fault: null };
const found = await findMpi(launcherOf(process.env)).then(
  ({ name, version }) => ({ library: name, version }),
  (error: unknown) => {
    if (!(error instanceof HighrankError)) throw error;
    return { fault: error.message };
  },
);
process.stdout.write(JSON.stringify({ ...check, ...found }));
