import { createInterface } from "node:readline";

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
  /** One full training step: forward, loss, backward, clipping to norm 1, AdamW. */
  step(): Promise<{ loss: number }>;
  /** Share of one step's time inside matrix multiplications, for sides that can tell. */
  matmulShare?(): Promise<number>;
}

/** Serves a side on standard input and output by the line protocol of bench/README.md until `quit`. */
export async function serveSide(ready: Ready, side: Side): Promise<void> {
  const reply = (message: object): void => console.log(JSON.stringify(message));
  reply(ready);
  for await (const line of createInterface({ input: process.stdin })) {
    const command = line.trim();
    if (command === "step") {
      const [start, used] = [performance.now(), process.cpuUsage()];
      const { loss } = await side.step();
      const { user, system } = process.cpuUsage(used);
      reply({ ms: performance.now() - start, cpuMs: (user + system) / 1000, loss });
    } else if (command === "peak") {
      reply({ peakBytes: process.resourceUsage().maxRSS * 1024 });
    } else if (command === "profile") {
      reply(side.matmulShare === undefined ? {} : { matmulShare: await side.matmulShare() });
    } else if (command === "quit") {
      process.exit(0);
    } else {
      throw new Error(`unknown command "${command}"; step, profile, peak and quit are known`);
    }
  }
}
