import { createInterface } from "node:readline";
import { ALONE, type Collective } from "../../src/distributed/collective.js";

/** The first line of a side. */
export interface Ready {
  readonly side: string;
  readonly version: string;
  /** Of the model, adapters not counted. */
  readonly parameters: number;
  /** That the optimizer updates, adapters included. */
  readonly trained: number;
  readonly setup: Readonly<Record<string, string | number | boolean>>;
}

export interface Side {
  /** One full training step: forward, loss, backward, clipping to norm 1, AdamW. May tell more numbers of it. */
  step(): Promise<{ readonly loss: number }>;
  /** Share of one step's time inside matrix multiplications, for sides that can tell. */
  matmulShare?(): Promise<number>;
}

/**
 * Serves a side on standard input and output by the line protocol of bench/README.md until `quit`.
 * @param ranks the processes that make the step together, of which the first one speaks for all.
 */
export async function serveSide(ready: Ready, side: Side, ranks: Collective = ALONE): Promise<void> {
  const reply = (message: object): void => {
    if (ranks.rank === 0) console.log(JSON.stringify(message));
  };
  reply(ready);
  for await (const command of commandsFor(ranks)) {
    if (command === "step") {
      const [start, used] = [performance.now(), process.cpuUsage()];
      const measured = await side.step();
      const { user, system } = process.cpuUsage(used);
      reply({ ms: performance.now() - start, cpuMs: (user + system) / 1000, ...measured });
    } else if (command === "peak") {
      reply({ peakBytes: process.resourceUsage().maxRSS * 1024 });
    } else if (command === "profile") {
      reply(side.matmulShare === undefined ? {} : { matmulShare: await side.matmulShare() });
    } else if (command === "quit") {
      await ranks.close();
      process.exit(0);
    } else {
      throw new Error(`unknown command "${command}"; step, profile, peak and quit are known`);
    }
  }
}

/** The lines that the first rank reads, on all ranks. */
async function* commandsFor(ranks: Collective): AsyncGenerator<string, void> {
  if (ranks.rank === 0) {
    for await (const line of createInterface({ input: process.stdin })) {
      const command = line.trim();
      await ranks.broadcast(new TextEncoder().encode(command));
      yield command;
    }
  } else for (;;) yield new TextDecoder().decode(await ranks.broadcast(new Uint8Array()));
}
