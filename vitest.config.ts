import { defineConfig, type ViteUserConfig } from "vitest/config";

// Tests that load ONNX Runtime by themselves collect no telemetry either.
process.env.ORT_DISABLE_TELEMETRY ||= "1";

const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ["highrank-source"] },
  ssr: { resolve: { conditions: ["highrank-source"] } },
  test: {
    include: ["src/**/*.test.ts", "tests/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    pool: "forks",
  },
});

export default config;
