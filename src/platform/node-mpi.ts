import { writeSync } from "node:fs";
import { bytesOf } from "../base/arrays.js";
import { ConfigError, DeviceError, HighrankError } from "../base/errors.js";
import { readText } from "./node-files.js";
import { packageFile } from "./node-paths.js";

/** Kinds of MPI libraries whose handles differ; `standard` is the ABI of MPI 5. */
type MpiFamily = "open-mpi" | "mpich" | "standard";

/** What messages need of an MPI library. One thread makes all calls. */
export interface MpiLibrary {
  /** The file, as the system's loader was asked for it. */
  readonly name: string;
  /** As the library says it, such as "Open MPI v4.1.4". */
  readonly version: string;
  /** Joins the job. */
  initialize(): { readonly rank: number; readonly size: number };
  /** Sends at most 2³¹ - 1 bytes, which must stay as they are until that is done. */
  send(bytes: Uint8Array, to: number): MpiRequest;
  receive(bytes: Uint8Array, from: number): MpiRequest;
  finalize(): void;
  /** Ends all processes of the job with this exit code, a moment after a line on standard error. */
  abort(line: string, exitCode: number): never;
}

/** A message on its way. */
export interface MpiRequest {
  /** True once the message has arrived or left. The library works on messages only while it is asked. */
  isDone(): boolean;
}

/** Files by which the system's loader knows libraries of a kind, best first. */
const NAMES: Readonly<Record<"open-mpi" | "mpich", readonly string[]>> =
  process.platform === "darwin"
    ? {
        "open-mpi": ["libmpi.40.dylib", "/opt/homebrew/opt/open-mpi/lib/libmpi.40.dylib"],
        mpich: ["libmpi.12.dylib", "/opt/homebrew/opt/mpich/lib/libmpi.12.dylib"],
      }
    : { "open-mpi": ["libmpi.so.40"], mpich: ["libmpich.so.12", "libmpi.so.12"] };
/** The ABI of MPI 5, and what is of a kind that its name does not tell. */
const OTHER_NAMES =
  process.platform === "darwin" ? ["libmpi_abi.0.dylib", "libmpi.dylib"] : ["libmpi_abi.so.0", "libmpi.so"];

/** dlopen's flags: bind now, show symbols to the library's plugins, and never unload, as its threads may still run. */
const OPEN_FLAGS: Readonly<Partial<Record<NodeJS.Platform, number>>> = {
  linux: 0x2 | 0x100 | 0x1000,
  darwin: 0x2 | 0x8 | 0x80,
};

/** The highest level of MPI_Init_thread that is needed: one of several threads makes all calls. */
const FUNNELED = 1;
/** MPI_MAX_LIBRARY_VERSION_STRING is at most this. */
const MAX_VERSION_BYTES = 8192;
/** MPI_Status has 20 to 32 bytes. */
const STATUS_BYTES = 64;
const TAG = 0;
/** Time that a launcher has to pass on the last line of a rank. */
const LINE_MILLISECONDS = 250;

type Koffi = typeof import("koffi");
type Library = ReturnType<Koffi["load"]>;
/** Pointers as big integers, and integers. */
type Handle = bigint | number;
/** A function that returns a code of errors, 0 for none. Arrays are passed as the address of their memory. */
type CFunction = (...args: readonly (Handle | Uint8Array | Int32Array | null)[]) => number;

/** Files of MPI libraries, those of one kind first. */
export function mpiLibraryNames(first: "open-mpi" | "mpich"): string[] {
  return [...NAMES[first], ...NAMES[first === "mpich" ? "open-mpi" : "mpich"], ...OTHER_NAMES];
}

/**
 * Loads the first MPI library that there is.
 * @param names files, as paths or for the system's loader to look for.
 * @throws ConfigError if there is none, or nothing to call it with.
 */
export async function loadMpi(names: readonly string[]): Promise<MpiLibrary> {
  const koffi = await loadKoffi();
  if (koffi === null) {
    throw new ConfigError(
      "processes reach one another through the package koffi, which is not installed or has no binary for this " +
        "platform; npm install koffi@3.3.4",
    );
  }
  const reasons = new Set<string>();
  for (const name of names) {
    try {
      return bind(koffi, open(koffi, name), name);
    } catch (error) {
      if (error instanceof HighrankError) throw error;
      reasons.add((error as Error).message.replace("Failed to load shared library: ", ""));
    }
  }
  throw new ConfigError(
    `no MPI library can be loaded (${names.join(", ")}: ${[...reasons].join("; ")}). Install one, as with apt install ` +
      "openmpi-bin or dnf install openmpi (and module load mpi), or name its file in HIGHRANK_MPI_LIBRARY",
  );
}

/** The version of koffi, which calls native libraries; null if it is not installed or does not load. */
export async function koffiVersion(): Promise<string | null> {
  if ((await loadKoffi()) === null) return null;
  return (JSON.parse(await readText(packageFile("koffi", "package.json"))) as { version: string }).version;
}

async function loadKoffi(): Promise<Koffi | null> {
  try {
    return (await import("koffi")) as Koffi;
  } catch {
    return null;
  }
}

/**
 * UCX, through which MPICH sends, rewrites functions of the C library to hear of freed memory. In a process with other
 * threads, as every one of Node.js, that now and then ends in a segmentation fault. It reads the variable when it is
 * loaded; a value of the user's stays.
 */
const WITHOUT_HOOKS = ["UCX_MEM_EVENTS", "no"] as const;

function open(koffi: Koffi, name: string): Library {
  if (process.platform === "linux" && /mpich|libmpi\.so\.12/.test(name)) {
    // The environment of a worker is a copy that the C library does not see.
    koffi.load(null).func("int setenv(const char *, const char *, int)")(...WITHOUT_HOOKS, 0);
  }
  const flags = OPEN_FLAGS[process.platform];
  // koffi has no flag against unloading. Where this fails, its own attempt has the reason.
  if (flags !== undefined) koffi.load(null).func("void *dlopen(const char *, int)")(name, flags);
  return koffi.load(name, { global: true });
}

function bind(koffi: Koffi, library: Library, name: string): MpiLibrary {
  const version = versionOf(library);
  const { handle, world, byte } = abiOf(koffi, library, familyOf(name, version));
  const functions = declare(library, handle);
  const status = outside(STATUS_BYTES);
  const result = new Int32Array(outside(4).buffer);
  const integer = (call: (result: Int32Array) => number): number => {
    check(call(result));
    return result[0]!;
  };
  /** Memory that the library works on, which must not be collected. */
  const inUse = new Set<Uint8Array>();
  const start = (transfer: CFunction, bytes: Uint8Array, other: number): MpiRequest => {
    const request = outside(8);
    const memory = bytesOf(bytes); // asks for the buffer
    check(transfer(memory, memory.length, byte, other, TAG, world, request));
    inUse.add(memory);
    return {
      isDone: () => {
        // Of a request that is done, the library makes one that is always done.
        if (integer((flag) => functions.test(request, flag, status)) === 0) return false;
        inUse.delete(memory);
        return true;
      },
    };
  };
  return {
    name,
    version,
    initialize: () => {
      integer((provided) => functions.initThread(null, null, FUNNELED, provided));
      const rank = integer((result) => functions.commRank(world, result));
      return { rank, size: integer((result) => functions.commSize(world, result)) };
    },
    send: (bytes, to) => start(functions.isend, bytes, to),
    receive: (bytes, from) => start(functions.irecv, bytes, from),
    finalize: () => check(functions.finalize()),
    abort: (line, exitCode) => {
      // A worker's own standard error passes through the main thread, and would come too late.
      writeSync(2, `${line}\n`);
      // MPICH's launcher ends as soon as it hears of the end, and would not pass the line on.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LINE_MILLISECONDS);
      functions.abort(world, exitCode);
      throw new DeviceError(line);
    },
  };
}

/** @param handle the type of handles in C. */
function declare(library: Library, handle: string) {
  const declared = (signature: string): CFunction => library.func(signature.replaceAll("HANDLE", handle));
  return {
    initThread: declared("int MPI_Init_thread(void *, void *, int, void *)"),
    commRank: declared("int MPI_Comm_rank(HANDLE, void *)"),
    commSize: declared("int MPI_Comm_size(HANDLE, void *)"),
    isend: declared("int MPI_Isend(void *, int, HANDLE, int, int, HANDLE, void *)"),
    irecv: declared("int MPI_Irecv(void *, int, HANDLE, int, int, HANDLE, void *)"),
    test: declared("int MPI_Test(void *, void *, void *)"),
    finalize: declared("int MPI_Finalize()"),
    abort: declared("int MPI_Abort(HANDLE, int)"),
  };
}

/** Memory that stays where it is: the engine moves small arrays about, unless they are made with a buffer, or asked for it. */
function outside(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(bytes));
}

/** MPI's default is to end the job on an error, so hardly any is returned. */
function check(code: number): void {
  if (code !== 0) throw new DeviceError(`the MPI library failed with error ${code}`);
}

/** Works before initialization. */
function versionOf(library: Library): string {
  const text = outside(MAX_VERSION_BYTES);
  const length = new Int32Array(outside(4).buffer);
  check(library.func("int MPI_Get_library_version(void *, void *)")(text, length));
  const [first] = new TextDecoder().decode(text.subarray(0, length[0])).split(/\n|\0/);
  return first!
    .split(",")[0]!
    .replace(/(?:\s+version)?\s*:\s*|\s+/gi, " ")
    .trim();
}

function familyOf(name: string, version: string): MpiFamily {
  if (name.includes("mpi_abi")) return "standard";
  if (version.startsWith("Open MPI")) return "open-mpi";
  if (/MPICH|Intel\(R\) MPI|MVAPICH/i.test(version)) return "mpich";
  throw new ConfigError(
    `the MPI library ${name} calls itself ${JSON.stringify(version)}; Open MPI, MPICH and those built on them, or a ` +
      "library with the ABI of MPI 5 (libmpi_abi.so.0) can be used",
  );
}

/** Type of handles in C, and the handles of MPI_COMM_WORLD and MPI_BYTE. */
function abiOf(koffi: Koffi, library: Library, family: MpiFamily): { handle: string; world: Handle; byte: Handle } {
  switch (family) {
    case "open-mpi": {
      const address = (symbol: string): bigint => koffi.address(library.symbol(symbol));
      return { handle: "void *", world: address("ompi_mpi_comm_world"), byte: address("ompi_mpi_byte") };
    }
    case "mpich":
      return { handle: "int", world: 0x44000000, byte: 0x4c00010d };
    case "standard":
      return { handle: "void *", world: 0x101n, byte: 0x247n };
  }
}
