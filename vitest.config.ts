import { readFileSync } from "node:fs";
import { defineConfig, type ViteUserConfig } from "vitest/config";

// Tests that load ONNX Runtime by themselves collect no telemetry either.
process.env.ORT_DISABLE_TELEMETRY ||= "1";
// Commands that tests start are typed in a shell, not started by npm.
delete process.env.npm_command;
delete process.env.npm_lifecycle_event;

/** A file `name.SUITE.test.ts` belongs to that suite, every other test file to the first. */
const suites = JSON.parse(readFileSync(new URL("tests/suites.json", import.meta.url), "utf8")) as { name: string }[];
const [quick, ...others] = suites.map(({ name }) => name);
const filesOf = (pattern: string): string[] => ["src", "tests"].map((folder) => `${folder}/**/${pattern}.test.ts`);

/** Files ask one Python process, which may have minutes of others' questions to answer first. */
const PEERS = { globalSetup: "tests/peers/setup.ts", testTimeout: 900_000, hookTimeout: 900_000 };

const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ["highrank-source"] },
  ssr: { resolve: { conditions: ["highrank-source"] } },
  test: {
    testTimeout: 120_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    maxConcurrency: 2,
    pool: "forks",
    projects: [
      {
        extends: true,
        test: { name: quick!, include: filesOf("*"), exclude: others.flatMap((name) => filesOf(`*.${name}`)) },
      },
      ...others.map((name) => ({
        extends: true as const,
        test: { name, include: filesOf(`*.${name}`), ...(name === "peers" && PEERS) },
      })),
    ],
  },
});

export default config;
