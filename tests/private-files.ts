/** A browser's private files (OPFS) and locks of a site in memory, as far as the platform uses them. */

class Fault extends Error {
  constructor(name: string) {
    super(name);
    this.name = name;
  }
}

class File {
  readonly kind = "file";
  #parent: Folder;
  #name: string;
  #content = new Uint8Array();

  constructor(parent: Folder, name: string) {
    [this.#parent, this.#name] = [parent, name];
  }

  async getFile(): Promise<Blob & { readonly lastModified: number }> {
    return Object.assign(new Blob([this.#content]), { lastModified: 0 });
  }

  async createWritable({ keepExistingData }: { readonly keepExistingData: boolean }) {
    let copy = keepExistingData ? this.#content : new Uint8Array();
    return {
      write: async ({ position, data }: { readonly position: number; readonly data: Uint8Array }) => {
        const grown = new Uint8Array(Math.max(copy.length, position + data.length));
        grown.set(copy);
        grown.set(data, position);
        copy = grown;
      },
      truncate: async (length: number) => {
        copy = copy.slice(0, length);
      },
      close: async () => {
        this.#content = copy;
      },
    };
  }

  async move(folder: Folder, name: string): Promise<void> {
    if (folder.entries.get(name) instanceof Folder) throw new Fault("TypeMismatchError");
    this.#parent.entries.delete(this.#name);
    folder.entries.set(name, this);
    [this.#parent, this.#name] = [folder, name];
  }
}

class Folder {
  readonly kind = "directory";
  readonly entries = new Map<string, File | Folder>();

  async getFileHandle(name: string, options?: { readonly create: boolean }): Promise<File> {
    return this.#get(name, File, options, () => new File(this, name));
  }

  async getDirectoryHandle(name: string, options?: { readonly create: boolean }): Promise<Folder> {
    return this.#get(name, Folder, options, () => new Folder());
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.entries.delete(name)) throw new Fault("NotFoundError");
  }

  async *keys(): AsyncGenerator<string, void> {
    yield* [...this.entries.keys()];
  }

  #get<T extends File | Folder>(
    name: string,
    kind: abstract new (...args: never[]) => T,
    options: { readonly create: boolean } | undefined,
    make: () => T,
  ): T {
    const found = this.entries.get(name);
    if (found instanceof kind) return found;
    if (found !== undefined) throw new Fault("TypeMismatchError");
    if (options?.create !== true) throw new Fault("NotFoundError");
    const made = make();
    this.entries.set(name, made);
    return made;
  }
}

/** A `navigator` with files of its own. */
export function privateFiles(): object {
  const root = new Folder();
  let last: Promise<unknown> = Promise.resolve();
  const request = (_name: string, work: () => Promise<unknown>): Promise<unknown> => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
  return { storage: { getDirectory: async () => root }, locks: { request } };
}
