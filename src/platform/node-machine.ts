import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import os from "node:os";
import { readFault } from "./file-faults.js";
import { readText } from "./node-files.js";
import { packageFile } from "./node-paths.js";
import { runtimeName } from "./node-runtimes.js";

/** Memory that can be allocated without swapping, in bytes; a container's limit counts. */
export function availableMemoryBytes(): number {
  return process.availableMemory?.() ?? os.freemem();
}

/** Memory of the machine, or of the container if that is less, in bytes. */
export function totalMemoryBytes(): number {
  return Math.min(os.totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

/** Memory that this process holds now, with all its threads, in bytes. */
export function residentMemoryBytes(): number {
  return process.memoryUsage.rss();
}

/** Memory that this thread has for its objects, room for more included, and arrays, in bytes. */
export function heldMemoryBytes(): number {
  const { heapTotal, external } = process.memoryUsage();
  return heapTotal + external;
}

/** Most memory that this process has held at once, with all its threads, in bytes. */
export function peakMemoryBytes(): number {
  try {
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
    if (peak) return Number(peak[1]) * 1024;
  } catch {
    // Not on Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}

/**
 * The program that runs this one, such as `Node.js 20.20.2` or `Bun 1.4.5`; the version of Node.js that it is or stands
 * in for, that of ONNX Runtime, and operating system and architecture, such as `linux x64`.
 */
export async function runtimeVersions(): Promise<Record<"runtime" | "node" | "onnxruntime" | "platform", string>> {
  const manifest = await readText(packageFile("onnxruntime-node", "package.json"));
  return {
    runtime: runtimeName(),
    node: process.versions.node,
    onnxruntime: (JSON.parse(manifest) as { version: string }).version,
    platform: `${process.platform} ${process.arch}`,
  };
}

/** Where a run computes that names no device. */
export async function usualDevice(): Promise<"cpu" | "webgpu"> {
  return "cpu";
}

/** Why fewer threads compute than there are cores; null if that is not so. */
export function threadsNotice(): string | null {
  return null;
}

/** Number of threads that this process may run at once. */
export function cpuCount(): number {
  return os.availableParallelism();
}

/** Numbers of the cores that this process may run on; without Linux's /proc, 0 to before `cpuCount()`. */
export function allowedCores(): number[] {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]!;
    return list.split(",").flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number);
      return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
    });
  } catch {
    return Array.from({ length: cpuCount() }, (_, core) => core);
  }
}

/** What all processes of this machine, also those in containers, have in common, and no others; else its name. */
export function machineIdentity(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return os.hostname();
  }
}

/** Free space for this user on the disk of the path (which must exist), in bytes. */
export async function freeDiskBytes(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch (error) {
    throw readFault(path, error);
  }
}
