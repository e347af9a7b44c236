import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ask, describePeers } from "./peer.js";

const NOTEBOOK = fileURLToPath(new URL("../../notebooks/low-rank-adapters.ipynb", import.meta.url));
const PROGRAMS = fileURLToPath(new URL("../runtimes/node_modules/@deno", import.meta.url));
const [program] = existsSync(PROGRAMS) ? readdirSync(PROGRAMS) : [];

/** What a cell of code prints, and the types of what it draws. */
interface CellOutput {
  readonly printed: string;
  readonly drawn: readonly string[];
}

describePeers("the notebook", () => {
  test.skipIf(program === undefined && process.env.CI !== "true")(
    "runs from top to bottom in Deno's kernel, and prints and draws what it holds",
    async () => {
      const deno = path.join(PROGRAMS, program!, "deno");
      const outputs = { path: NOTEBOOK, deno };
      const { stored, now } = await ask<{ stored: CellOutput[]; now: CellOutput[] }>("notebooks", "outputs", outputs);
      expect(now).toEqual(stored);
      expect(now.filter(({ drawn }) => drawn.includes("image/svg+xml"))).toHaveLength(3);
    },
    300_000,
  );
});
