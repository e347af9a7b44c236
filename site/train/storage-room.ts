import { formatBytes } from "../../dist/base/numbers.js";
import { byId } from "./page.ts";

/** Bytes below which a run may not fit: checkpoints are written beside those before. */
const SHORT = 300 * 2 ** 20;

/** Says how much this site stores and may store. */
export async function tellRoom(): Promise<void> {
  const { usage = 0, quota } = await navigator.storage.estimate();
  const isKept = await navigator.storage.persisted();
  const of = quota === undefined ? "" : ` of ${formatBytes(quota)} that the browser allows`;
  const kept = isKept ? "" : "; when the disk is full, the browser may remove it: download what matters";
  byId("storage").textContent = `${formatBytes(usage)}${of} are used${kept}.`;
}

/** Asks that what is stored stays. → what to say where there is little room, or null. */
export async function makeRoom(): Promise<string | null> {
  await navigator.storage.persist().catch(() => false);
  const { usage = 0, quota = Number.POSITIVE_INFINITY } = await navigator.storage.estimate();
  if (quota - usage >= SHORT) return null;
  return `Only ${formatBytes(quota - usage)} are left for this site: delete runs and models that you do not need.`;
}
