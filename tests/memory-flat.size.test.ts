import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "./animal-text.js";

const MIB = 2 ** 20;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-flat-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));

/** What a training process holds, garbage aside. */
interface Held {
  readonly step: number;
  readonly rss: number;
  readonly heapUsed: number;
  readonly arrayBuffers: number;
  readonly sessions: number;
}

/** What a process that trains with the built library holds after these steps. */
async function heldAfter(steps: readonly number[], settings: Readonly<Record<string, unknown>>): Promise<Held[]> {
  const script = fileURLToPath(new URL("memory/long-run.mjs", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, steps.join(), JSON.stringify(settings)]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Held);
}

// The limits allow for what the allocators of V8 and libc warm up to; one gradient kept of each step would take 240 MiB, one cycle
// of adapters 0.03 MiB. By step 100 the cycles are summed up, which brings the last new graphs.
test.each(["none", "nf4"])(
  "500 steps with merges, evaluations and checkpoints hold what 100 do, quantize %s",
  async (quantize) => {
    const every = { reloraEvery: 15, evalEvery: 25, saveEvery: 50 };
    const sizes = { model: "tiny", rank: 4, vocabSize: 300, batchSize: 2, sequenceLength: 32, evalTokens: 200 };
    const run = { method: "relora", warmStartSteps: 10, sampleTokens: 2, threads: 1, quantize };
    const data = path.join(folder, "text.txt");
    const [early, late] = await heldAfter([100, 500], {
      ...every,
      ...sizes,
      ...run,
      data,
      out: path.join(folder, quantize),
    });
    expect([early!.step, late!.step]).toEqual([100, 500]);
    expect(late!.sessions).toBe(early!.sessions);
    expect(late!.arrayBuffers - early!.arrayBuffers).toBeLessThan(0.5 * MIB);
    expect(late!.heapUsed - early!.heapUsed).toBeLessThan(6 * MIB);
    expect(late!.rss - early!.rss).toBeLessThan(64 * MIB);
  },
  600_000,
);
