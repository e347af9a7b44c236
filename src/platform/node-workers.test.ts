import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { MemoryError } from "../base/errors.js";
import { startWorker } from "./node-workers.js";

test("a thread whose heap is full ends with an error of our own", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-worker-"));
  try {
    const module = path.join(folder, "work.mjs");
    // A thread takes its limit from whoever starts it, so this one starts another in its turn.
    await writeFile(
      module,
      `import { Worker } from "node:worker_threads";
       const fill = "const kept = []; for (;;) kept.push({ value: [kept.length] });";
       const inner = new Worker(fill, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 8 } });
       inner.on("error", (error) => { throw error; });`,
    );
    const worker = startWorker(pathToFileURL(module), null);
    const error = await new Promise((resolve) => worker.onError(resolve));
    expect(error).toBeInstanceOf(MemoryError);
    expect(String(error)).toMatch(/heap is full; raise its limit/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
