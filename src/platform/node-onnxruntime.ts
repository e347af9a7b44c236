import { warnOfTelemetry } from "./node-telemetry.js";
import type { OnnxModule, OnnxRuntime } from "./onnxruntime.js";

let loading: Promise<OnnxModule> | undefined;

export const onnxRuntime: OnnxRuntime = {
  packageName: "onnxruntime-node",
  fillsOutputs: true,
  opensFiles: true,
  load: () => {
    if (loading === undefined) warnOfTelemetry();
    loading ??= import("onnxruntime-node");
    return loading;
  },
  lossOfGpu: async () => null,
  threadsOf: (asked) => asked,
};
