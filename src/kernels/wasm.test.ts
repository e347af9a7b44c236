import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { kernels } from "./kernels.js";

test("wasm.ts holds what assembly/ compiles to; if not, run node scripts/kernels.js", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-kernels-"));
  const file = path.join(folder, "wasm.ts");
  const script = fileURLToPath(new URL("../../scripts/kernels.js", import.meta.url));
  execFileSync(process.execPath, [script, file], { cwd: folder });
  const compiled = readFileSync(file, "utf8");
  rmSync(folder, { recursive: true });
  expect(readFileSync(new URL("wasm.ts", import.meta.url), "utf8")).toBe(compiled);
});

test("the memory grows to what is asked for, and no further", () => {
  expect(kernels(1).memory.buffer.byteLength).toBe(65536);
  expect(kernels(65537).memory.buffer.byteLength).toBe(2 * 65536);
  expect(kernels(1).memory.buffer.byteLength).toBe(2 * 65536);
});
