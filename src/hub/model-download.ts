import { acquireLock, exists, fileSize, freeDiskBytes, joinPath, type Lock, lockHolder, makeFolder } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { readJsonObject } from "../formats/json-file.js";
import { downloadFile, incompletePath } from "./file-download.js";
import { type HubAccess, hubAccess } from "./hub-access.js";
import { CachedModel } from "./hub-cache.js";
import { ConnectionFault, HubClient, type Patience } from "./hub-client.js";
import { type Listing, listModel } from "./hub-listing.js";
import { type HubModel, isCommit, shownModel } from "./hub-name.js";
import { type HubFile, hasParts, selectFiles, shardFiles, type WantedParts } from "./model-files.js";

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

export interface DownloadOptions extends DownloadEvents {
  /** Default: everything that highrank reads. */
  readonly wanted?: WantedParts;
  /** Default: from the environment. */
  readonly access?: HubAccess;
  readonly patience?: Patience;
}

/** A model in the cache. */
export interface Snapshot {
  readonly folder: string;
  /** Commit of its revision now, or at the last request. */
  readonly commit: string;
}

/** A download: the model, its source and its place in the cache. */
interface Job {
  readonly model: HubModel;
  /** Name of the model, for messages. */
  readonly name: string;
  readonly wanted: WantedParts;
  readonly cached: CachedModel;
  readonly client: HubClient;
  readonly events: DownloadEvents;
}

/** Room that a download leaves on the disk, in bytes. */
const SPARE_BYTES = 2 ** 26;
const REPORT_MS = 100;
const LOOK_AGAIN_MS = 300;

/**
 * Gets a model of the Hugging Face hub as a snapshot in the cache shared with Python's huggingface_hub. Missing files
 * are downloaded: safetensors, config and tokenizer, nothing else; interrupted downloads continue. Offline, or if the
 * hub cannot be reached, the earlier download is used. A commit that is present needs no network.
 * @throws CheckpointError if the hub, the network or the disk fails or refuses; ConfigError for an invalid environment.
 */
export async function downloadModel(model: HubModel, options: DownloadOptions = {}): Promise<Snapshot> {
  const { wanted = "model", access = await hubAccess(), patience, ...events } = options;
  const name = model.revision === "main" ? model.name : `${model.name}@${model.revision}`;
  const cached = new CachedModel(access.cacheFolder, model);
  const job = { model, name, wanted, cached, client: new HubClient(name, access, events.onNotice, patience), events };
  const known = await knownSnapshot(job);
  if (access.offline) {
    if (known !== undefined) return known;
    throw new CheckpointError(
      `${name}: there is no local folder of that name, ${access.cacheFolder} does not have the whole model, ` +
        "and HF_HUB_OFFLINE forbids asking the hub; check the name, or unset HF_HUB_OFFLINE",
    );
  }
  if (known !== undefined && isCommit(model.revision) && (await hasParts(known.folder, "tokenizer"))) return known;
  let listing: Listing;
  try {
    listing = await listModel(job.client, model);
  } catch (error) {
    const isUnreachable = error instanceof CheckpointError && error.cause instanceof ConnectionFault;
    if (known === undefined || !isUnreachable) throw error;
    events.onNotice?.(`${access.endpoint} cannot be reached; using ${name} as it was at the last request`);
    return known;
  }
  await fetchParts(job, listing);
  await cached.rememberCommit(listing.commit);
  return { folder: cached.snapshot(listing.commit), commit: listing.commit };
}

/** The earlier download; undefined unless it is complete. */
async function knownSnapshot({ cached, wanted }: Job): Promise<Snapshot | undefined> {
  const commit = await cached.knownCommit();
  if (commit === undefined) return undefined;
  const folder = cached.snapshot(commit);
  return (await hasParts(folder, wanted)) ? { folder, commit } : undefined;
}

async function fetchParts(job: Job, { commit, files: listed }: Listing): Promise<void> {
  const { name, wanted, cached } = job;
  const { files, index } = selectFiles(name, listed, wanted);
  if (index === undefined) return fetchFiles(job, commit, files);
  await fetchFiles({ ...job, events: { ...job.events, onDownload: undefined } }, commit, [index]);
  const shards = shardFiles(name, await readJsonObject(joinPath(cached.snapshot(commit), index.path)), listed);
  await fetchFiles(job, commit, [...files, ...shards]);
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
  { model, cached, client }: Job,
  commit: string,
  file: HubFile,
  report: (bytes: number) => void,
): Promise<void> {
  const { path, size, hash } = file;
  report(0);
  if (!(await cached.hasBlob(hash, size))) {
    const names = path.split("/").map(encodeURIComponent);
    const url = `${client.access.endpoint}/${model.name}/resolve/${commit}/${names.join("/")}`;
    await downloadFile(client, url, file, cached.blob(hash), report);
  }
  await cached.link(commit, path, hash);
}

async function missingFiles(cached: CachedModel, commit: string, files: readonly HubFile[]): Promise<HubFile[]> {
  const missing: HubFile[] = [];
  for (const file of files) if (!(await cached.has(commit, file.path, file.size))) missing.push(file);
  return missing;
}

/** @throws CheckpointError if the disk has no room for the rest. */
async function requireRoom(cached: CachedModel, name: string, files: readonly HubFile[]): Promise<void> {
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
