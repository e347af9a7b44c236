import { exists, fileSize, joinPath, linkFile, makeFolder, readText, writeFileAtomic } from "#platform";
import { type HubModel, isCommit } from "./hub-name.js";

/**
 * A model in the cache that Python's huggingface_hub shares: `blobs/` holds contents by their hash, `snapshots/COMMIT/` links to them by
 * the names of the files, `refs/REVISION` holds the commit that a branch or tag was when it was last asked for.
 */
export class CachedModel {
  /** `models--organisation--name` */
  readonly folder: string;
  /** Where locks lie that are taken while something is written. */
  readonly lockFolder: string;
  readonly #model: HubModel;

  constructor(cacheFolder: string, model: HubModel) {
    const name = `models--${model.name.replace("/", "--")}`;
    this.folder = joinPath(cacheFolder, name);
    this.lockFolder = joinPath(cacheFolder, ".locks", name);
    this.#model = model;
  }

  snapshot(commit: string): string {
    return joinPath(this.folder, "snapshots", commit);
  }

  /** @param hash what the hub calls the content. */
  blob(hash: string): string {
    return joinPath(this.folder, "blobs", hash);
  }

  /** The commit that the revision was when it was last asked for; undefined where it never was. */
  async knownCommit(): Promise<string | undefined> {
    const { revision } = this.#model;
    if (isCommit(revision)) return revision;
    const ref = joinPath(this.folder, "refs", revision);
    if (!(await exists(ref))) return undefined;
    const commit = (await readText(ref, { maxBytes: 1000 })).trim();
    return isCommit(commit) ? commit : undefined;
  }

  async rememberCommit(commit: string): Promise<void> {
    const { revision } = this.#model;
    if (isCommit(revision) || (await this.knownCommit()) === commit) return;
    const parts = revision.split("/");
    await makeFolder(joinPath(this.folder, "refs", ...parts.slice(0, -1)));
    await writeFileAtomic(joinPath(this.folder, "refs", ...parts), commit);
  }

  /** Whether the snapshot has the file, of this size. */
  has(commit: string, file: string, size: number): Promise<boolean> {
    return hasSize(joinPath(this.snapshot(commit), file), size);
  }

  /** Whether the content is there, of this size. */
  hasBlob(hash: string, size: number): Promise<boolean> {
    return hasSize(this.blob(hash), size);
  }

  /** Lets the snapshot have a file whose content lies in `blobs/`. */
  async link(commit: string, file: string, hash: string): Promise<void> {
    await makeFolder(this.snapshot(commit));
    await linkFile(joinPath(this.snapshot(commit), file), this.blob(hash));
  }
}

async function hasSize(path: string, size: number): Promise<boolean> {
  return (await exists(path)) && (await fileSize(path)) === size;
}
