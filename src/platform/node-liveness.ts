import { readFile, readlink } from "node:fs/promises";

/** A process, by what was seen of it. */
export interface SeenProcess {
  readonly pid: number;
  /**
   * Start of the process in clock ticks since boot, to tell it from a later process with the same pid; null if unknown.
   */
  readonly processStart: string | null;
}

/** Boot and PID name space of this process; null without Linux's /proc. */
export async function processScope(): Promise<string | null> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()} ${await readlink("/proc/self/ns/pid")}`;
  } catch {
    return null;
  }
}

/** True if a process of this scope lives. */
export async function isAlive({ pid, processStart }: SeenProcess): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: the process belongs to another user and does not take our signals, but exists.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const status = await processStatus(pid);
  if (status === null) return true;
  // A process that has ended stays a zombie until its parent reads its exit code.
  return !"ZX".includes(status.state) && (processStart === null || status.start === processStart);
}

/** State and start of a process from Linux's /proc; null if there is none, or one of another PID name space. */
export async function processStatus(pid: number): Promise<{ state: string; start: string } | null> {
  if ((await readlink("/proc/self").catch(() => null)) !== String(process.pid)) return null;
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (text === null) return null;
  // From the third field on: the second is the program's name in parentheses, which may contain anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, start: fields[19]! };
}
