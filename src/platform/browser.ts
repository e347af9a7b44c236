/** The platform of a browser, in the place of Node.js's: the same names, for a page and its workers. */
export {
  appendChunks,
  environment,
  fileUrl,
  followFolder,
  gitBlobHash,
  homeFolder,
  koffiVersion,
  linkFile,
  listenHttp,
  loadMpi,
  machineName,
  mpiLibraryNames,
  onWriting,
  removeUnfinished,
  withTemporaryFolder,
} from "./browser-absent.js";
export { decompress } from "./browser-compression.js";
export {
  AppendedFile,
  appendLine,
  copyFile,
  exists,
  fileSize,
  fileStamp,
  filesBelow,
  isDirectory,
  listFolder,
  makeFolder,
  openForReading,
  pathInside,
  publishFile,
  readBytes,
  readText,
  removeEmpty,
  removeTree,
  requireRoom,
  syncFile,
} from "./browser-files.js";
export { sha256, sha256File } from "./browser-hash.js";
export { acquireLock, lockHolder } from "./browser-lock.js";
export {
  allowedCores,
  availableMemoryBytes,
  collectGarbage,
  cpuCount,
  freeDiskBytes,
  heldMemoryBytes,
  keepFreedMemory,
  machineIdentity,
  peakMemoryBytes,
  residentMemoryBytes,
  runtimeVersions,
  totalMemoryBytes,
} from "./browser-machine.js";
export { onnxRuntime, threadsNotice, usualDevice } from "./browser-onnxruntime.js";
export { readPackageText } from "./browser-package-text.js";
export {
  absolutePath,
  baseName,
  extension,
  folderOf,
  isMountPoint,
  isWithin,
  joinPath,
  realPath,
} from "./browser-paths.js";
export { openSpool, openStored } from "./browser-spool.js";
export {
  inWorker,
  isPage,
  nextTurn,
  openLimited,
  startProcess,
  startWorker,
  Worker,
  withTimeLimit,
} from "./browser-workers.js";
export {
  interruptedWrites,
  recoverReplaced,
  removeFolderAtomic,
  writeFileAtomic,
  writeFilesAtomic,
  writeFolderAtomic,
} from "./browser-writes.js";
export { writeFault } from "./file-faults.js";
