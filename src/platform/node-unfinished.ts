import { createHash, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { isAlive, processScope } from "./node-liveness.js";
import { absolutePath } from "./node-paths.js";

/** Where this process can be seen, for names: 8 digits. */
const SCOPE = createHash("sha256")
  .update((await processScope()) ?? os.hostname())
  .digest("hex")
  .slice(0, 8);

/** The end of such a name, which says of which process it is. */
const OWNER = /^(\d+)-([0-9a-f]{8})-[0-9a-f]{12}\.partial$/;

/** Most bytes of a name that another is made of, so that this one is not longer than file systems allow. */
const MAX_BASE_BYTES = 200;

/** A name beside `target` that no process uses or has used. */
export function nameBeside(target: string, kind: "partial" | "previous"): string {
  const { dir, base } = path.parse(absolutePath(target));
  // What stepped aside gets its name back, so it must be there.
  const start = kind === "partial" ? startOf(base) : base;
  return path.join(dir, `.${start}.${process.pid}-${SCOPE}-${randomBytes(6).toString("hex")}.${kind}`);
}

/** The name, or its hash if it is long. */
function startOf(base: string): string {
  return Buffer.byteLength(base) <= MAX_BASE_BYTES ? base : createHash("sha256").update(base).digest("hex");
}

/** Removes what processes that ended have left of writing `target`. Those that cannot be seen from here keep theirs. */
export async function removeLeftovers(target: string): Promise<void> {
  const { dir, base } = path.parse(absolutePath(target));
  const start = `.${startOf(base)}.`;
  for (const name of await readdir(dir)) {
    const owner = name.startsWith(start) ? OWNER.exec(name.slice(start.length)) : null;
    if (owner === null || owner[2] !== SCOPE) continue;
    const isOver = !(await isAlive({ pid: Number(owner[1]), processStart: null }));
    if (isOver) await rm(path.join(dir, name), { recursive: true, force: true });
  }
}

/** Everything that this thread is writing, by its present name. */
const unfinished = new Set<string>();
let hear: (isWriting: boolean) => void = () => {};

/**
 * Tells the listener when this thread begins to write while it is writing nothing, and when all that it writes is
 * finished. @returns ends that.
 */
export function onWriting(listener: (isWriting: boolean) => void): () => void {
  hear = listener;
  return () => {
    hear = () => {};
  };
}

/** Removes what this thread is writing, at once; for a process that ends now. */
export function removeUnfinished(): void {
  for (const partial of unfinished) rmSync(partial, { recursive: true, force: true, maxRetries: 5 });
}

/** Notes that `partial` is being written. */
export function begin(partial: string): void {
  unfinished.add(partial);
  if (unfinished.size === 1) hear(true);
}

/** Notes that `partial` is whole, or gone. */
export function finish(partial: string): void {
  if (unfinished.delete(partial) && unfinished.size === 0) hear(false);
}
