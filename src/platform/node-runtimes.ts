import { createRequire, isBuiltin } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// Deno and Bun offer the modules of Node.js. This file holds what they do in another way.

/** The program that runs this one and its version, such as `Node.js 20.20.2` or `Bun 1.4.5`. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return `Bun ${bun}`;
  return deno === undefined ? `Node.js ${node}` : `Deno ${deno}`;
}

/** True where a thread may lose messages that are sent before it listens, as in Deno. */
export const LOSES_EARLY_MESSAGES: boolean = process.versions.deno !== undefined;

/**
 * Collects garbage now. Call it after large data is no longer needed, so that it does not stay resident beside new
 * data; engines are in no hurry while memory is plentiful.
 */
export function collectGarbage(): void {
  const { Bun } = globalThis as { Bun?: { gc(synchronous: boolean): void } };
  if (Bun !== undefined) {
    Bun.gc(true);
    return;
  }
  // Without the flag on the command line, only a new context has the function.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
}

/** Arguments and environment that limit the heap of a forked process. Bun's engine knows no such limit. */
export function heapLimit(megabytes: number): { execArgv: string[]; env: Readonly<Record<string, string>> } {
  const flag = `--max-old-space-size=${megabytes}`;
  return { execArgv: [flag], env: { DENO_V8_FLAGS: flag } };
}

/** True for the ways in which an engine ends that is out of memory: Node.js's, Deno's, and Node.js's on Windows. */
export function isOutOfMemory(code: number | null, signal: string | null): boolean {
  return signal === "SIGABRT" || signal === "SIGTRAP" || code === 134;
}

/**
 * Sets a variable in the environment of the process, where native code finds it. `process.env` does so in Node.js and
 * Deno; that of Bun is a copy. Does nothing where the C library does not have its usual name.
 */
export function setProcessVariable(name: string, value: string): void {
  process.env[name] = value;
  if (!isBuiltin("bun:ffi")) return;
  const { dlopen } = createRequire(import.meta.url)("bun:ffi") as {
    dlopen(
      library: string,
      symbols: { setenv: { args: readonly string[]; returns: string } },
    ): { symbols: { setenv(name: Uint8Array, value: Uint8Array, overwrite: number): number } };
  };
  const library = process.platform === "darwin" ? "libc.dylib" : "libc.so.6";
  const text = (of: string): Uint8Array => new TextEncoder().encode(`${of}\0`);
  try {
    const { symbols } = dlopen(library, { setenv: { args: ["cstring", "cstring", "i32"], returns: "i32" } });
    symbols.setenv(text(name), text(value), 1);
  } catch {
    // Windows: ONNX Runtime's telemetry goes another way there, and the variable has no effect.
  }
}
