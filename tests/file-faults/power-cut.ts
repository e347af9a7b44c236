import promises from "node:fs/promises";
import path from "node:path";

/** As they are while no faults are installed. */
const { access, link, mkdtemp, rename, rm, stat, truncate } = promises;

/** Calls that change nothing. */
const HARMLESS = ["access", "close", "lstat", "read", "readFile", "readdir", "realpath", "stat"];

/** A change of names that no sync has put on the disk. */
interface Unsynced {
  /** The folder whose sync makes it stay. */
  folder: string;
  /** Where the thing is now. */
  at: string;
  /** Where it was before; null if it is new. */
  from: string | null;
  /** A copy of what it replaced. */
  readonly replaced: string | null;
}

/**
 * What a power cut may undo: the content of files since their last sync, and names made and changed since the last sync of
 * their folder. It sees the calls as the `observe` of installed faults. Removals are taken to stay.
 */
export class PowerCut {
  readonly #backups: string;
  readonly #content = new Set<string>();
  #names: Unsynced[] = [];
  #copies = 0;

  private constructor(backups: string) {
    this.#backups = backups;
  }

  /** @param near a folder of the same file system, for what may have to come back. */
  static async watch(near: string): Promise<PowerCut> {
    return new PowerCut(await mkdtemp(path.join(near, "backups-")));
  }

  readonly observe = async (name: string, args: readonly string[], make: () => Promise<unknown>): Promise<unknown> => {
    const [target, to] = args.map((one) => path.resolve(one)) as [string, string];
    switch (name) {
      case "sync":
        await make();
        this.#content.delete(target);
        this.#names = this.#names.filter(({ folder }) => folder !== target);
        return;
      case "rename": {
        const replaced = await this.#copy(to);
        await make();
        this.#move(target, to);
        this.#names.push({ folder: path.dirname(to), at: to, from: target, replaced });
        return;
      }
      case "rm":
        await make();
        for (const file of this.#content) if (isIn(file, target)) this.#content.delete(file);
        this.#names = this.#names.filter(({ at }) => !isIn(at, target));
        return;
      case "mkdir": {
        const missing: string[] = [];
        for (let made = target; !(await isThere(made)); made = path.dirname(made)) missing.unshift(made);
        const result = await make();
        for (const at of missing) this.#names.push({ folder: path.dirname(at), at, from: null, replaced: null });
        return result;
      }
      case "open": {
        if (args[1]!.startsWith("r")) return make();
        const wasThere = await isThere(target);
        const handle = await make();
        this.#content.add(target);
        if (!wasThere) this.#names.push({ folder: path.dirname(target), at: target, from: null, replaced: null });
        return handle;
      }
      case "write":
        this.#content.add(target);
        return make();
      default:
        if (!HARMLESS.includes(name)) throw new Error(`PowerCut does not know what ${name} leaves unsynced`);
        return make();
    }
  };

  /** Cuts the power, after the faults were removed: content that was not synced is lost, or the names as well. */
  async cut(lost: "content" | "content and names"): Promise<void> {
    for (const file of this.#content) await truncate(file, Math.floor((await stat(file)).size / 2));
    if (lost === "content") return;
    for (const { at, from, replaced } of this.#names.reverse()) {
      if (from === null) {
        await rm(at, { recursive: true });
      } else {
        await rename(at, from);
        this.#move(at, from);
      }
      if (replaced !== null) await rename(replaced, at);
    }
  }

  async #copy(file: string): Promise<string | null> {
    if (!(await isThere(file))) return null;
    const copy = path.join(this.#backups, String(this.#copies++));
    await link(file, copy);
    return copy;
  }

  #move(from: string, to: string): void {
    const moved = (file: string) => (isIn(file, from) ? to + file.slice(from.length) : file);
    for (const file of [...this.#content]) {
      this.#content.delete(file);
      this.#content.add(moved(file));
    }
    for (const name of this.#names) {
      // The order in which names are undone takes care of the rest.
      if (name.at === from) continue;
      name.folder = moved(name.folder);
      name.at = moved(name.at);
      name.from = name.from && moved(name.from);
    }
  }
}

function isIn(file: string, folder: string): boolean {
  return file === folder || file.startsWith(folder + path.sep);
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
