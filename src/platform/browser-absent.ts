import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { FollowedFolder } from "./node-followed-folder.js";
import type { Fetch, HttpListener } from "./node-http.js";
import type { MpiLibrary } from "./node-mpi.js";

// What a browser does not have. Importing it costs nothing; a call says what to use instead.

function absent(what: string, wayOut: string): ConfigError {
  return new ConfigError(`${what} in a browser; ${wayOut}`);
}

/** For `serve` and `watch`. */
export async function listenHttp(_fetch: Fetch, _host: string, _port: number): Promise<HttpListener> {
  throw absent("serve and watch: nothing can listen for connections", "call them in Node.js");
}

export function machineName(): string {
  throw absent("serve and watch: nothing can listen for connections", "call them in Node.js");
}

/** For several processes. */
export async function loadMpi(_names: readonly string[]): Promise<MpiLibrary> {
  throw absent(`${optionName("distributed")}: there is no MPI`, "train on several processes in Node.js");
}

export function mpiLibraryNames(_first: "open-mpi" | "mpich"): string[] {
  return [];
}

export async function koffiVersion(): Promise<string | null> {
  return null;
}

/** For the hub's cache and its token. */
export function homeFolder(): string {
  throw absent(
    "names of the hub: there is no cache of its files",
    "name a preset or a folder, or put files there first",
  );
}

export async function linkFile(_link: string, _to: string): Promise<void> {
  homeFolder();
}

export async function appendChunks(_file: string, _chunks: AsyncIterable<Uint8Array>): Promise<void> {
  homeFolder();
}

export async function gitBlobHash(_path: string): Promise<string> {
  return homeFolder();
}

export function fileUrl(_of: string): URL {
  throw absent("push: files have no addresses", "push in Node.js");
}

export async function withTemporaryFolder<T>(_use: (folder: string) => Promise<T>): Promise<T> {
  throw absent("push: there is no folder for a while", "push in Node.js");
}

/** There are no variables. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return {};
}

/** Folders do not move. */
export function followFolder(path: string): FollowedFolder {
  return { path, close: () => {} };
}

/** Nobody ends a tab in order. */
export function onWriting(_listener: (isWriting: boolean) => void): () => void {
  return () => {};
}

export function removeUnfinished(): void {}
