import type { ViteUserConfig } from "vitest/config";
import base from "../../vitest.config.js";

/** The tests that need a WebGPU adapter; `tests/webgpu.devices.test.ts` runs them in a process that has one. */
const { projects: _, ...shared } = base.test!;
const config: ViteUserConfig = { ...base, test: { ...shared, include: ["tests/webgpu/*.webgpu.ts"] } };

export default config;
