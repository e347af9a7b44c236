import { acquireLock, exists, fileSize, freeDiskBytes, joinPath, type Lock, lockHolder, makeFolder } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { downloadFile, incompletePath } from "./file-download.js";
import { type HubAccess, hubAccess } from "./hub-access.js";
import { CachedRepository } from "./hub-cache.js";
import { HubClient } from "./hub-client.js";
import { type Listing, listRepository } from "./hub-listing.js";
import { type HubRepository, isCommit, REPOSITORY_KINDS, type RepositoryKind, shownModel } from "./hub-name.js";
import { ConnectionFault, type Patience } from "./hub-patience.js";
import type { HubFile } from "./model-files.js";

/** Progress of a download. */
export interface DownloadProgress {
  /** Name as requested. */
  readonly model: string;
  /** File that is being downloaded. */
  readonly file: string;
  /** Bytes that have arrived, and bytes of all the missing files. */
  readonly done: number;
  readonly total: number;
}

/** Receivers of a download's events. */
export interface DownloadEvents {
  /** Called with progress about ten times a second and at the end; never if no file is missing. */
  readonly onDownload?: ((progress: DownloadProgress) => void) | undefined;
  /** Called with notices: about another attempt, or about another process that holds the lock. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** Ways to the hub, and who hears of what happens. */
export interface HubOptions extends DownloadEvents {
  /** Default: from the environment. */
  readonly access?: HubAccess;
  readonly patience?: Patience;
}

/** A repository in the cache. */
export interface Snapshot {
  readonly folder: string;
  /** Commit of its revision now, or at the last request. */
  readonly commit: string;
}

/** The files of a repository that are wanted. */
export interface WantedFiles {
  readonly kind: RepositoryKind;
  /** True if a snapshot has them, judging by what lies there: a file is never there in part. */
  areIn(folder: string): Promise<boolean>;
  /** True if nothing is missing of a snapshot that has them, so that a commit need not be asked for. */
  isWhole(folder: string): Promise<boolean>;
  /** Downloads them with `fetch`, which may be called several times, of files that decide on more. */
  download(listed: readonly HubFile[], fetch: FetchFiles, folder: string): Promise<void>;
}

/** Brings files into the snapshot. Those that are small and lead to others report no progress. */
export type FetchFiles = (files: readonly HubFile[], reports?: boolean) => Promise<void>;

/** A download: the repository, its source and its place in the cache. */
interface Job {
  readonly repository: HubRepository;
  readonly kind: RepositoryKind;
  /** Name of the repository, for messages. */
  readonly name: string;
  readonly cached: CachedRepository;
  readonly client: HubClient;
  readonly events: DownloadEvents;
}

/** Room that a download leaves on the disk, in bytes. */
const SPARE_BYTES = 2 ** 26;
const REPORT_MS = 100;
const LOOK_AGAIN_MS = 300;

/**
 * Gets a repository of the Hugging Face hub as a snapshot in the cache shared with Python's huggingface_hub. Missing
 * files are downloaded, of those that are wanted; interrupted downloads continue. Offline, or if the hub cannot be
 * reached, the earlier download is used.
 * @throws CheckpointError if the hub, the network or the disk fails or refuses; ConfigError for an invalid environment.
 */
export async function downloadRepository(
  repository: HubRepository,
  wanted: WantedFiles,
  { access: given, patience, ...events }: HubOptions,
): Promise<Snapshot> {
  const access = given ?? (await hubAccess());
  const { kind } = wanted;
  const { revision } = repository;
  const name = revision === "main" ? repository.name : `${repository.name}@${revision}`;
  const cached = new CachedRepository(access.cacheFolder, repository, kind);
  const client = new HubClient(name, access, events.onNotice, patience, kind);
  const job = { repository, kind, name, cached, client, events };
  const known = await knownSnapshot(cached, wanted);
  if (access.offline) {
    if (known !== undefined) return known;
    const { noun, local } = REPOSITORY_KINDS[kind];
    throw new CheckpointError(
      `${name}: there is no local ${local} of that name, ${access.cacheFolder} does not have the whole ${noun}, ` +
        "and HF_HUB_OFFLINE forbids asking the hub; check the name, or unset HF_HUB_OFFLINE",
    );
  }
  if (known !== undefined && isCommit(revision) && (await wanted.isWhole(known.folder))) return known;
  let listing: Listing;
  try {
    listing = await listRepository(client, repository, kind);
  } catch (error) {
    const isUnreachable = error instanceof CheckpointError && error.cause instanceof ConnectionFault;
    if (known === undefined || !isUnreachable) throw error;
    events.onNotice?.(`${access.endpoint} cannot be reached; using ${name} as it was at the last request`);
    return known;
  }
  const { commit, files } = listing;
  const fetch: FetchFiles = (some, reports = true) =>
    fetchFiles(reports ? job : { ...job, events: { ...events, onDownload: undefined } }, commit, some);
  const folder = cached.snapshot(commit);
  await wanted.download(files, fetch, folder);
  await cached.rememberCommit(commit);
  return { folder, commit };
}

/** The earlier download; undefined unless it is complete. */
async function knownSnapshot(cached: CachedRepository, wanted: WantedFiles): Promise<Snapshot | undefined> {
  const commit = await cached.knownCommit();
  if (commit === undefined) return undefined;
  const folder = cached.snapshot(commit);
  return (await wanted.areIn(folder)) ? { folder, commit } : undefined;
}

/** Downloads files into the snapshot, one after another, under a lock against other processes of highrank. */
async function fetchFiles(job: Job, commit: string, files: readonly HubFile[]): Promise<void> {
  const { name, cached, events } = job;
  if ((await missingFiles(cached, commit, files)).length === 0) return;
  await makeFolder(cached.lockFolder);
  const lock = await lockWhenFree(joinPath(cached.lockFolder, "highrank.lock"), name, events);
  try {
    // The other process may have downloaded them.
    const missing = await missingFiles(cached, commit, files);
    await makeFolder(joinPath(cached.folder, "blobs"));
    await requireRoom(cached, name, missing);
    const total = missing.reduce((sum, { size }) => sum + size, 0);
    let [before, reported] = [0, Number.NEGATIVE_INFINITY];
    const tell = (file: string, done: number): void =>
      events.onDownload?.({ model: shownModel(name), file, done, total });
    for (const file of missing) {
      await fetchFile(job, commit, file, (bytes) => {
        const done = before + bytes;
        if (done === total || performance.now() - reported < REPORT_MS) return;
        reported = performance.now();
        tell(file.path, done);
      });
      before += file.size;
    }
    if (missing.length > 0) tell(missing.at(-1)!.path, total);
  } finally {
    await lock.release();
  }
}

async function fetchFile(
  { repository, kind, cached, client }: Job,
  commit: string,
  file: HubFile,
  report: (bytes: number) => void,
): Promise<void> {
  const { path, size, hash } = file;
  report(0);
  if (!(await cached.hasBlob(hash, size))) {
    const names = path.split("/").map(encodeURIComponent);
    const url = `${client.access.endpoint}/${REPOSITORY_KINDS[kind].path}${repository.name}/resolve/${commit}/${names.join("/")}`;
    await downloadFile(client, url, file, cached.blob(hash), report);
  }
  await cached.link(commit, path, hash);
}

async function missingFiles(cached: CachedRepository, commit: string, files: readonly HubFile[]): Promise<HubFile[]> {
  const missing: HubFile[] = [];
  for (const file of files) if (!(await cached.has(commit, file.path, file.size))) missing.push(file);
  return missing;
}

/** @throws CheckpointError if the disk has no room for the rest. */
async function requireRoom(cached: CachedRepository, name: string, files: readonly HubFile[]): Promise<void> {
  let bytes = 0;
  for (const { size, hash } of files) {
    if (await cached.hasBlob(hash, size)) continue;
    const begun = incompletePath(cached.blob(hash));
    bytes += size - ((await exists(begun)) ? Math.min(await fileSize(begun), size) : 0);
  }
  const free = await freeDiskBytes(cached.folder);
  if (bytes === 0 || free >= bytes + SPARE_BYTES) return;
  throw new CheckpointError(
    `${name}: needs ${bytes} more bytes in ${cached.folder}, where ${free} are free; ` +
      "free some space, or set HF_HUB_CACHE",
  );
}

/** Takes the lock, waiting for the process that holds it. @throws ConfigError if that is on another host. */
async function lockWhenFree(file: string, name: string, { onNotice }: DownloadEvents): Promise<Lock> {
  for (let hasSaid = false; ; ) {
    try {
      return await acquireLock(file);
    } catch (error) {
      const holder = error instanceof ConfigError ? await lockHolder(file) : undefined;
      if (holder === undefined || holder?.isAlive === null) throw error;
      if (holder === null) continue;
      if (!hasSaid) onNotice?.(`${name} is ${holder.words}, which downloads it: waiting for it`);
      hasSaid = true;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
}
