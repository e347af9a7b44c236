/** Arrays that a parser asks for, as the engine would have to make them. */
export interface AllocationGuard {
  /** Bytes asked for since the last reset, given back or not. */
  readonly bytes: number;
  /** Starts to count anew; what passes `limit` bytes is refused as if memory were full. */
  reset(limit: number): void;
  /** Puts the engine's own constructors back. */
  remove(): void;
}

const GUARDED = [
  ...["ArrayBuffer", "Uint8Array", "Int8Array", "Uint16Array", "Int16Array", "Uint32Array", "Int32Array"],
  ...["Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array"],
] as const;

type Constructor = (new (...args: unknown[]) => object) & { readonly BYTES_PER_ELEMENT?: number };

/**
 * Puts constructors in place of those of array buffers and typed arrays that count what is asked for. Memory that
 * garbage collection has freed, and pages that were never touched, count all the same, which no measurement of the process would show.
 */
export function guardAllocations(): AllocationGuard {
  const scope = globalThis as unknown as Record<string, Constructor>;
  const originals = new Map(GUARDED.map((name) => [name, scope[name]!] as const));
  let [bytes, limit] = [0, Number.POSITIVE_INFINITY];
  for (const [name, original] of originals) {
    const width = original.BYTES_PER_ELEMENT ?? 1;
    scope[name] = new Proxy(original, {
      construct(target, args, newTarget) {
        const elements = lengthOf(args[0]);
        bytes += elements * width;
        if (bytes > limit) throw new RangeError("Array buffer allocation failed");
        return Reflect.construct(target, args, newTarget) as object;
      },
    });
  }
  return {
    get bytes() {
      return bytes;
    },
    reset: (to) => {
      [bytes, limit] = [0, to];
    },
    remove: () => {
      for (const [name, original] of originals) scope[name] = original;
    },
  };
}

/** Elements that the constructor allocates for its first argument: none for a view of a buffer. */
function lengthOf(argument: unknown): number {
  if (typeof argument === "number") return argument;
  if (argument instanceof ArrayBuffer || argument instanceof SharedArrayBuffer) return 0;
  return ((argument ?? {}) as { length?: number }).length ?? 0;
}
