import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** glibc's largest dynamic threshold, a page table's worth below so that the allocator's header fits. */
const LARGEST_KEPT_BYTES = 32 * 1024 * 1024 - 64 * 1024;

/**
 * Has the allocator keep freed memory for the next arrays instead of handing it to the kernel, from which every page must
 * be faulted in again. glibc does so up to the size of the largest array that it has seen freed: so one is freed. Matters
 * where each run returns megabytes of new arrays; does nothing noticeable with other allocators.
 */
export function keepFreedMemory(): void {
  const buffer = new ArrayBuffer(LARGEST_KEPT_BYTES);
  // Moved into a channel that is closed, the memory is freed now and not when the garbage collector comes.
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.postMessage(null, [buffer]);
  port1.close();
}

/**
 * Collects garbage now. After much has been read that is needed no more, so that it does not stay resident beside what
 * comes next; V8 itself takes its time while memory is plentiful.
 */
export function collectGarbage(): void {
  // Without the flag on the command line, only a new context has the function.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
}
