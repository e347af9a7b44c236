/**
 * Node.js implementation of the platform that highrank runs on, imported as `#platform`; other platforms offer the same
 * names. Later folders import no `node:` module, except `cli/`.
 */
export { writeFault } from "./file-faults.js";
export type { LimitedProcess, WorkLimits } from "./limited-work.js";
export { AppendedFile, appendLine } from "./node-appended-file.js";
export { decompress } from "./node-compression.js";
export { filesBelow, isMountPoint, isWithin, pathInside, realPath, requireRoom } from "./node-containment.js";
export { appendChunks, linkFile, publishFile } from "./node-downloads.js";
export { environment, homeFolder } from "./node-environment.js";
export {
  copyFile,
  exists,
  type FileReader,
  fileSize,
  fileStamp,
  isDirectory,
  listFolder,
  makeFolder,
  openForReading,
  readBytes,
  readText,
  removeEmpty,
  removeTree,
  syncFile,
} from "./node-files.js";
export { type FollowedFolder, followFolder } from "./node-followed-folder.js";
export { gitBlobHash, sha256, sha256File } from "./node-hash.js";
export { type Fetch, type HttpListener, listenHttp, machineName } from "./node-http.js";
export { openLimited } from "./node-limited-work.js";
export { acquireLock, type Lock, type LockHolder, lockHolder } from "./node-lock.js";
export {
  allowedCores,
  availableMemoryBytes,
  cpuCount,
  freeDiskBytes,
  heldMemoryBytes,
  machineIdentity,
  peakMemoryBytes,
  residentMemoryBytes,
  runtimeVersions,
  threadsNotice,
  totalMemoryBytes,
  usualDevice,
} from "./node-machine.js";
export { keepFreedMemory } from "./node-memory.js";
export {
  koffiVersion,
  loadMpi,
  type MpiLibrary,
  type MpiRequest,
  mpiLibraryNames,
} from "./node-mpi.js";
export { onnxRuntime } from "./node-onnxruntime.js";
export { readPackageText } from "./node-package-text.js";
export { absolutePath, baseName, extension, fileUrl, folderOf, joinPath } from "./node-paths.js";
export { startProcess } from "./node-processes.js";
export { collectGarbage } from "./node-runtimes.js";
export { openSpool, openStored, type Spool, type StoredBytes } from "./node-spool.js";
export { withTemporaryFolder } from "./node-temporary.js";
export { withTimeLimit } from "./node-time-limit.js";
export { onWriting, removeUnfinished } from "./node-unfinished.js";
export {
  inWorker,
  isPage,
  nextTurn,
  startWorker,
  Worker,
  type WorkerHandle,
  type WorkerPort,
} from "./node-workers.js";
export {
  type Chunks,
  type FileContent,
  interruptedWrites,
  recoverReplaced,
  removeFolderAtomic,
  writeFileAtomic,
  writeFilesAtomic,
  writeFolderAtomic,
} from "./node-writes.js";
export type { OnnxModule, OnnxRuntime } from "./onnxruntime.js";
