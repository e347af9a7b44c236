import { browser } from "./browser-globals.js";
import type { OnnxModule, OnnxRuntime } from "./onnxruntime.js";

/** Threads that WebAssembly may compute with: several need shared memory, which only isolated pages have. */
function threads(): number {
  return browser.crossOriginIsolated ? browser.navigator.hardwareConcurrency : 1;
}

/** A GPU in use, as far as it is asked. */
interface GpuDevice {
  /** Resolves when the GPU is gone for whoever has asked for it. */
  readonly lost: Promise<{ readonly message: string; readonly reason: string }>;
}

/** Time after a failure in which a browser says that the GPU is gone. */
const LOSS_MS = 200;

let onCpu: Promise<OnnxModule> | undefined;
let onGpu: Promise<OnnxModule> | undefined;

// Each is a WebAssembly file of its own, of which only what is used is downloaded.
async function loadCpu(): Promise<OnnxModule> {
  const runtime = await import("onnxruntime-web/wasm");
  runtime.env.wasm.numThreads = threads();
  return runtime;
}

async function loadGpu(): Promise<OnnxModule> {
  // Where WebAssembly can wait for promises, the smaller and faster one will do.
  const isSuspending = "Suspending" in browser.WebAssembly;
  const runtime = await (isSuspending ? import("onnxruntime-web/jspi") : import("onnxruntime-web/webgpu"));
  runtime.env.wasm.numThreads = 1;
  return runtime;
}

export const onnxRuntime: OnnxRuntime = {
  packageName: "onnxruntime-web",
  // https://github.com/microsoft/onnxruntime/issues/25786
  fillsOutputs: false,
  opensFiles: false,
  load: (device) => {
    if (device === "cpu") onCpu ??= loadCpu();
    else onGpu ??= loadGpu();
    return (device === "cpu" ? onCpu : onGpu)!;
  },
  lossOfGpu: async () => {
    // ONNX Runtime has asked for it by the first session.
    const gpu = (await onGpu)?.env.webgpu.device as GpuDevice | undefined;
    const lost = gpu?.lost.then(({ message, reason }) => message || reason);
    return Promise.race([lost ?? null, new Promise<null>((resolve) => setTimeout(resolve, LOSS_MS, null))]);
  },
  // All sessions of WebAssembly share its threads.
  threadsOf: threads,
};

/** Why fewer threads compute than there are cores; null if that is not so. */
export function threadsNotice(): string | null {
  const { crossOriginIsolated, navigator } = browser;
  if (crossOriginIsolated || navigator.hardwareConcurrency === 1) return null;
  return (
    `this page is not isolated, so WebAssembly computes with 1 thread of ${navigator.hardwareConcurrency}: serve it ` +
    "with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp"
  );
}

/** Where a run computes that names no device: on a GPU if there is one. */
export async function usualDevice(): Promise<"cpu" | "webgpu"> {
  const adapter = await browser.navigator.gpu?.requestAdapter();
  // A GPU in software is slower than WebAssembly.
  return adapter == null || adapter.info.isFallbackAdapter === true ? "cpu" : "webgpu";
}
