import { browser } from "./browser-globals.js";
import { onnxRuntime } from "./browser-onnxruntime.js";

/** GiB that WebAssembly can address; browsers say no more than about how much a machine has. */
const ADDRESSABLE = 4;

/** Memory that may be taken, in bytes. */
export function availableMemoryBytes(): number {
  return totalMemoryBytes();
}

export function totalMemoryBytes(): number {
  return Math.min(browser.navigator.deviceMemory ?? ADDRESSABLE, ADDRESSABLE) * 2 ** 30;
}

/** A page does not learn what it holds: 0. */
export function residentMemoryBytes(): number {
  return 0;
}

export function heldMemoryBytes(): number {
  return 0;
}

export function peakMemoryBytes(): number {
  return 0;
}

/** The browser, no version of Node.js, and that of ONNX Runtime. */
export async function runtimeVersions(): Promise<Record<"runtime" | "node" | "onnxruntime" | "platform", string>> {
  const { env } = await onnxRuntime.load("cpu");
  const { userAgent } = browser.navigator;
  // Chromium's browsers call themselves Chrome and Safari too, and Safari gives its version elsewhere.
  const name = ["Edg", "Firefox", "Chrome", "Version"].find((each) => userAgent.includes(`${each}/`)) ?? "";
  const version = new RegExp(`${name}/([\\d.]+)`).exec(userAgent)?.[1] ?? "";
  const names: Readonly<Record<string, string>> = { Edg: "Edge", Version: "Safari" };
  const runtime = `${names[name] ?? (name || "browser")} ${version}`.trim();
  return { runtime, node: "none", onnxruntime: env.versions.web ?? "", platform: "browser" };
}

/** Number of threads that may compute at once. */
export function cpuCount(): number {
  return onnxRuntime.threadsOf(Number.POSITIVE_INFINITY);
}

export function allowedCores(): number[] {
  return Array.from({ length: cpuCount() }, (_, core) => core);
}

export function machineIdentity(): string {
  return browser.location.origin;
}

/** Bytes that the site may still store. */
export async function freeDiskBytes(_path: string): Promise<number> {
  const { quota = Number.POSITIVE_INFINITY, usage = 0 } = await browser.navigator.storage.estimate();
  return quota - usage;
}

/** Browsers collect garbage when they want to. */
export function collectGarbage(): void {}

export function keepFreedMemory(): void {}
