import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config";
import base from "../../vitest.config.js";

/** The tests that need a WebGPU adapter; `tests/webgpu.devices.test.ts` runs them in a process that has one. */
const config: ViteUserConfig = mergeConfig(base, defineConfig({}));
config.test = { ...config.test, include: ["tests/webgpu/*.webgpu.ts"] };

export default config;
