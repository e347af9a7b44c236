import { fileAt, readBytes, writing } from "./browser-files.js";
import type { Spool, StoredBytes } from "./node-spool.js";

/** What is too large for memory elsewhere is in memory here. */
export function openSpool(): Spool {
  let bytes = new Uint8Array(2 ** 24);
  let length = 0;
  return {
    append(added) {
      if (length + added.length > bytes.length) {
        const larger = new Uint8Array(Math.max(2 * bytes.length, length + added.length));
        larger.set(bytes);
        bytes = larger;
      }
      bytes.set(added, length);
      length += added.length;
    },
    read: (target, offset) => target.set(bytes.subarray(offset, offset + target.length)),
  };
}

/** Opens a file that nobody writes to any more. @throws DataError if it cannot be opened. */
export async function openStored(path: string): Promise<StoredBytes> {
  const handle = await writing(path, () => fileAt(path));
  if (handle.createSyncAccessHandle === undefined) {
    const bytes = await readBytes(path);
    return { read: (target, offset) => target.set(bytes.subarray(offset, offset + target.length)) };
  }
  const access = await handle.createSyncAccessHandle({ mode: "read-only" });
  return {
    read(target, offset) {
      for (let done = 0; done < target.length; ) {
        const count = access.read(target.subarray(done), { at: offset + done });
        if (count === 0) throw new RangeError(`${path} ends before byte ${offset + target.length}`);
        done += count;
      }
    },
  };
}
