import { usualDevice } from "../../dist/platform/browser-onnxruntime.js";
import { byId, element } from "./page.ts";

/** GiB of memory from which a machine is no phone. */
const ROOM = 8;

/** Says what computes in this browser, and what to mind. */
export async function tellMachine(isolation: "isolated" | "reloading" | "impossible"): Promise<void> {
  const device = await usualDevice();
  const { hardwareConcurrency: cores } = navigator;
  const threads = isolation === "isolated" ? cores : 1;
  const cpu = `WebAssembly with ${threads} ${threads === 1 ? "thread" : "threads"} of ${cores}`;
  byId("machine").textContent =
    device === "webgpu" ? `Computes on the GPU, by WebGPU (or ${cpu}).` : `Computes on the CPU, by ${cpu}.`;
  if (device !== "webgpu") {
    caution(
      navigator.gpu === undefined
        ? "This browser has no WebGPU, so the CPU computes: small models only."
        : "WebGPU finds no GPU here, so the CPU computes: small models only.",
    );
  }
  if (isolation !== "isolated") {
    caution(
      "The browser does not isolate this page, so one thread computes instead of all: private windows and pages " +
        "without HTTPS have no service worker, which would see to it.",
    );
  }
  const { deviceMemory = ROOM } = navigator as { deviceMemory?: number };
  if (matchMedia("(pointer: coarse)").matches && (deviceMemory < ROOM || Math.min(screen.width, screen.height) < 600)) {
    caution(
      "On a phone, take tiny or nano, and keep this page in front: the system closes pages that take much memory or " +
        "are in the background. What was saved stays.",
    );
  }
}

/** Whether the browser gives the page files, which runs need; says so where it does not. */
export async function hasFiles(): Promise<boolean> {
  try {
    await navigator.storage.getDirectory();
    return true;
  } catch {
    caution("This browser gives the page no files, which runs need: open it over HTTPS, and not in a private window.");
    return false;
  }
}

export function caution(text: string): void {
  byId("cautions").append(element("li", {}, [text]));
}
