// What is used of a browser's globals. Its own declarations would clash with those of Node.js.

/** A file of the site's private file system. */
export interface FileHandle {
  readonly kind: "file";
  getFile(): Promise<StoredFile>;
  /** In workers alone. Of one file, one handle that writes may be open. */
  createSyncAccessHandle?(options?: { readonly mode: "read-only" }): Promise<AccessHandle>;
  createWritable(options: { readonly keepExistingData: boolean }): Promise<WritableFile>;
  /** In one step; a file of the new name is replaced. */
  move(folder: FolderHandle, name: string): Promise<void>;
}

/** A file as it was when it was asked for: reads fail once it has changed. */
export interface StoredFile {
  readonly size: number;
  readonly lastModified: number;
  slice(start: number, end: number): StoredFile;
  arrayBuffer(): Promise<ArrayBuffer>;
}

export interface AccessHandle {
  getSize(): number;
  read(target: Uint8Array, options: { readonly at: number }): number;
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  truncate(length: number): void;
  flush(): void;
  close(): void;
}

/** A copy of a file, which takes its place when it is closed. */
interface WritableFile {
  write(part: { readonly type: "write"; readonly position: number; readonly data: Uint8Array }): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

export interface FolderHandle {
  readonly kind: "directory";
  getFileHandle(name: string, options?: { readonly create: boolean }): Promise<FileHandle>;
  getDirectoryHandle(name: string, options?: { readonly create: boolean }): Promise<FolderHandle>;
  removeEntry(name: string, options?: { readonly recursive: boolean }): Promise<void>;
  keys(): AsyncIterable<string>;
}

/** A worker as its starter sees it. */
export interface StartedWorker {
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "error", listener: (event: { readonly message?: string }) => void): void;
  terminate(): void;
}

interface Locks {
  /** Waits until it has the lock. */
  request<T>(name: string, work: () => Promise<T>): Promise<T>;
  request(
    name: string,
    options: { readonly ifAvailable: true },
    work: (lock: object | null) => Promise<void>,
  ): Promise<void>;
  query(): Promise<{ readonly held: readonly { readonly name: string }[] }>;
}

interface Port {
  onmessage: (() => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

interface Browser {
  readonly WebAssembly: object;
  readonly MessageChannel: new () => { readonly port1: Port; readonly port2: Port };
  readonly Worker: new (url: URL, options: { readonly type: "module" }) => StartedWorker;
  readonly crossOriginIsolated: boolean;
  /** Of a page; absent in a worker. */
  readonly document?: object;
  readonly location: { readonly origin: string };
  readonly navigator: {
    readonly userAgent: string;
    readonly hardwareConcurrency: number;
    /** GiB; in some browsers only. */
    readonly deviceMemory?: number;
    readonly gpu?: { requestAdapter(): Promise<{ readonly info: { readonly isFallbackAdapter?: boolean } } | null> };
    readonly locks: Locks;
    readonly storage: {
      getDirectory(): Promise<FolderHandle>;
      estimate(): Promise<{ readonly quota?: number; readonly usage?: number }>;
    };
  };
  // Of a worker.
  readonly name: string;
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  close(): void;
}

export const browser: Browser = globalThis as unknown as Browser;
