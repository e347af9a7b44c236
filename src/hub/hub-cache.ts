import {
  exists,
  fileSize,
  folderOf,
  isDirectory,
  joinPath,
  linkFile,
  makeFolder,
  readText,
  writeFileAtomic,
} from "#platform";
import { DataError } from "../base/errors.js";
import { type HubRepository, isCommit, REPOSITORY_KINDS, type RepositoryKind } from "./hub-name.js";

/**
 * A repository in the cache shared with Python's huggingface_hub. `blobs/` holds contents by their hash,
 * `snapshots/COMMIT/` links to them under the names of the files, and `refs/REVISION` holds the commit of a branch or
 * tag at the last request.
 */
export class CachedRepository {
  /** `models--organisation--name`, or `datasets--organisation--name` */
  readonly folder: string;
  /** Folder of the locks that are held while something is written. */
  readonly lockFolder: string;
  readonly #revision: string;

  constructor(cacheFolder: string, repository: HubRepository, kind: RepositoryKind) {
    const name = `${REPOSITORY_KINDS[kind].cache}--${repository.name.replace("/", "--")}`;
    this.folder = joinPath(cacheFolder, name);
    this.lockFolder = joinPath(cacheFolder, ".locks", name);
    this.#revision = repository.revision;
  }

  snapshot(commit: string): string {
    return joinPath(this.folder, "snapshots", commit);
  }

  /** @param hash the hub's hash of the content. */
  blob(hash: string): string {
    return joinPath(this.folder, "blobs", hash);
  }

  /** The revision's commit at the last request; undefined if it was never requested. */
  async knownCommit(): Promise<string | undefined> {
    const revision = this.#revision;
    if (isCommit(revision)) return revision;
    const ref = joinPath(this.folder, "refs", revision);
    if (!(await exists(ref))) return undefined;
    if (await isDirectory(ref)) {
      throw new DataError(`${ref} is a folder where the cache keeps the commit of ${revision} in a file; remove it`);
    }
    const commit = (await readText(ref, { maxBytes: 1000 })).trim();
    return isCommit(commit) ? commit : undefined;
  }

  async rememberCommit(commit: string): Promise<void> {
    const revision = this.#revision;
    if (isCommit(revision) || (await this.knownCommit()) === commit) return;
    const ref = joinPath(this.folder, "refs", revision);
    await makeFolder(folderOf(ref));
    await writeFileAtomic(ref, commit);
  }

  /** True if the snapshot has the file, with this size. */
  has(commit: string, file: string, size: number): Promise<boolean> {
    return hasSize(joinPath(this.snapshot(commit), file), size);
  }

  /** True if the content is present, with this size. */
  hasBlob(hash: string, size: number): Promise<boolean> {
    return hasSize(this.blob(hash), size);
  }

  /** Links a file of the snapshot to its content in `blobs/`. */
  async link(commit: string, file: string, hash: string): Promise<void> {
    const link = joinPath(this.snapshot(commit), file);
    await makeFolder(folderOf(link));
    await linkFile(link, this.blob(hash));
  }
}

async function hasSize(path: string, size: number): Promise<boolean> {
  return (await exists(path)) && (await fileSize(path)) === size;
}
