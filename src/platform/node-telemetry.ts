import { isMainThread } from "node:worker_threads";
import { setProcessVariable } from "./node-runtimes.js";

/** ONNX Runtime 1.30 collects nothing if this is `1`, `true`, `yes`, `on` or `y` when the first session is created. */
const OPT_OUT = "ORT_DISABLE_TELEMETRY";

// Set on import: threads and processes that are started later inherit it. A user who wants telemetry has set it to 0.
setProcessVariable(OPT_OUT, process.env[OPT_OUT] || "1");

/**
 * Warns if ONNX Runtime, about to be loaded, would collect telemetry unasked. It reads the environment of the process;
 * a worker thread can change only its own copy.
 */
export function warnOfTelemetry(): void {
  if (isMainThread || processVariable(OPT_OUT)) return;
  process.emitWarning(
    "ONNX Runtime collects telemetry in this process, and a worker thread cannot switch it off. Import highrank in " +
      `the main thread before the worker is started, or start the process with ${OPT_OUT}=1 in its environment.`,
  );
}

/** Variable in the environment of the process, from which `process.env` of a worker thread may differ. */
function processVariable(name: string): string | undefined {
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  const { excludeNetwork = false } = report;
  report.excludeNetwork = true; // otherwise names are looked up for the addresses that this thread is connected to
  const { environmentVariables = process.env } = report.getReport() as { environmentVariables?: NodeJS.ProcessEnv };
  report.excludeNetwork = excludeNetwork;
  return environmentVariables[name];
}
