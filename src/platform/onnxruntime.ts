import type { Env, InferenceSession, Tensor } from "onnxruntime-common";

/** The exports of a package of ONNX Runtime. */
export interface OnnxModule {
  readonly env: Env;
  readonly InferenceSession: typeof InferenceSession;
  readonly Tensor: typeof Tensor;
}

/** The ONNX Runtime of a platform. */
export interface OnnxRuntime {
  readonly packageName: string;
  /** True if runs write into tensors that are given for outputs; false if they ignore them. */
  readonly fillsOutputs: boolean;
  /** True if it opens a model by the path of its file. */
  readonly opensFiles: boolean;
  /** Loads it on first use, so that importing the library starts nothing. */
  load(device: "cpu" | "webgpu"): Promise<OnnxModule>;
  /** Why the GPU that it computes on is gone; null where it is not. */
  lossOfGpu(): Promise<string | null>;
  /** The threads that a session gets which asks for so many. */
  threadsOf(asked: number): number;
}
