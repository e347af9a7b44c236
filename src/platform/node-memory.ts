/** glibc's largest dynamic threshold, less a page table's worth so that the allocator's header fits. */
const LARGEST_KEPT_BYTES = 32 * 1024 * 1024 - 64 * 1024;

/**
 * Makes the allocator keep freed memory for the next arrays, instead of returning it to the kernel, from which every
 * page must be faulted in again. glibc keeps blocks up to the size of the largest one that it has seen freed, so one is
 * freed here. This matters if each run returns megabytes of new arrays; other allocators show no effect.
 */
export function keepFreedMemory(): void {
  const buffer = new ArrayBuffer(LARGEST_KEPT_BYTES);
  // Moved into a closed channel, the memory is freed immediately instead of by the garbage collector.
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.postMessage(null, [buffer]);
  port1.close();
}
