// One rank of a job, as tests/distributed.mpi.test.ts starts it: node rank.js [--thread] WORK [NUMBER]. It prints one line.
// With --thread it works in a worker thread, as training does.
import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";

import { launcherOf } from "../../dist/distributed/launcher.js";
import { machineShare } from "../../dist/distributed/machine-share.js";
import { memoryTransports } from "../../dist/distributed/memory-transport.js";
import { openMpi } from "../../dist/distributed/mpi-transport.js";
import { TreeCollective } from "../../dist/distributed/tree-collective.js";
import { Rng } from "../../dist/tensor/random.js";

const [work, number] = process.argv.slice(2);
const open = async (options) => {
  const launcher = launcherOf(process.env);
  return new TreeCollective(await openMpi({ launcher, timeoutSeconds: 60, ...options }));
};

const WORKS = {
  /** Exchanges of every kind; the hash of what came is that of every rank. */
  exchanges: async () => print(await exchangeAll(await open({ partBytes: Number(number ?? 2 ** 30) }))),
  /** The same with tasks of one process. */
  memory: async () => {
    const results = memoryTransports(Number(number)).map((transport) => exchangeAll(new TreeCollective(transport)));
    for (const result of await Promise.all(results)) print(result);
  },
  /** Rank 1 does not come. */
  hang: async () => {
    const ranks = await open({ timeoutSeconds: 1, place: () => "step 12" });
    await ranks.barrier();
    if (ranks.rank === 1) await new Promise((resolve) => setTimeout(resolve, 600_000));
    await ranks.sum(new Float32Array(1000));
  },
  /** Rank 0 waits for the last one, which comes two seconds later. */
  wait: async () => {
    const ranks = await open({});
    await ranks.barrier();
    if (ranks.rank === ranks.size - 1) await new Promise((resolve) => setTimeout(resolve, 2000));
    const before = process.cpuUsage();
    const started = performance.now();
    await ranks.barrier();
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 1000 / (performance.now() - started);
    await ranks.close();
    if (ranks.rank === 0) print({ share });
  },
  /** What the C library's environment has to say to UCX. */
  hooks: async () => {
    const ranks = await open({});
    await ranks.close();
    const koffi = await import("koffi");
    const getenv = koffi.load(null).func("const char *getenv(const char *)");
    print({ rank: ranks.rank, hooks: getenv("UCX_MEM_EVENTS") });
  },
  threads: async () => {
    const ranks = await open({});
    const { threads } = await machineShare(ranks);
    await ranks.close();
    print({ rank: ranks.rank, threads });
  },
};

async function exchangeAll(ranks) {
  const { rank, size } = ranks;
  const hash = createHash("sha256");
  for (const Type of [Float32Array, Float64Array]) {
    for (const length of [0, 1, 2, 3, 1000, 100_003]) {
      const rng = new Rng(rank);
      const values = Type.from({ length }, () => rng.normal());
      await ranks.sum(values);
      hash.update(values);
    }
  }
  const own = Int32Array.from({ length: 5000 * rank }, (_, i) => i - rank);
  for (const values of await ranks.gather(own)) hash.update(values);
  const text = rank === 0 ? new TextEncoder().encode("weights ".repeat(5000)) : new Uint8Array(3);
  hash.update(await ranks.broadcast(text));
  await ranks.barrier();
  const { sentBytes } = ranks;
  await ranks.close();
  return { rank, size, sentBytes, sha256: hash.digest("hex") };
}

function print(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

if (work === "--thread") new Worker(new URL(import.meta.url), { argv: process.argv.slice(3) });
else {
  try {
    await WORKS[work]();
  } catch (error) {
    process.stderr.write(`${error.name}: ${error.message}\n`);
    process.exitCode = 2;
  }
}
