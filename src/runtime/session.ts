import type { InferenceSession, Tensor } from "onnxruntime-common";
import { type OnnxModule, onnxRuntime } from "#platform";
import { DeviceError, DTypeError, MemoryError } from "../base/errors.js";
import { formatBytes } from "../base/numbers.js";
import type { DType, HostTensor, TypedArray } from "../tensor/dtype.js";
import { sameShape } from "../tensor/shape.js";

/** Execution providers that highrank compiles for. */
export const DEVICES = ["cpu", "webgpu"] as const;
export type Device = (typeof DEVICES)[number];

export interface SessionOptions {
  readonly device: Device;
  /** CPU threads that one operator may use; at least 1. */
  readonly threads: number;
  /** Same bits for any number of threads of the CPU, in forms of products that are slower at times. Default true. */
  readonly deterministic?: boolean;
  /** Fail at creation if a node of a `webgpu` session would run on the CPU. Default false. */
  readonly forbidFallback?: boolean;
}

/** Value of an input: a tensor, integers of 64 bits, or 16-bit floats by their bits. */
export type FedTensor =
  | HostTensor
  | { readonly dtype: "int64"; readonly shape: readonly number[]; readonly data: BigInt64Array }
  | { readonly dtype: "float16" | "uint16"; readonly shape: readonly number[]; readonly data: Uint16Array };

/** A loaded model. Runs of one session must not overlap; `run` blocks the thread while the model computes. */
export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Computes the named outputs into new memory. Feeds on the CPU are read in place, without a copy. */
  run(feeds: Readonly<Record<string, FedTensor>>, outputNames: readonly string[]): Promise<Record<string, HostTensor>>;
  /**
   * Computes the outputs into the arrays given. An output may be the array of a feed if everything that reads the feed
   * runs before the node that makes the output.
   */
  runInto(feeds: Readonly<Record<string, FedTensor>>, outputs: Readonly<Record<string, HostTensor>>): Promise<void>;
  /** Releases the session's memory. Later runs throw; a second release does nothing. */
  release(): Promise<void>;
}

let liveSessions = 0;

/** Number of sessions in this thread that were created and not yet released. */
export function liveSessionCount(): number {
  return liveSessions;
}

/**
 * Loads a model, or the file of one, into ONNX Runtime.
 * @throws DeviceError if the provider does not start or refuses the model.
 */
export async function createSession(model: Uint8Array | string, options: SessionOptions): Promise<OrtSession> {
  if (typeof model === "string" && !onnxRuntime.opensFiles) {
    throw new DeviceError(`${model}: ${onnxRuntime.packageName} opens no files; load it in Node.js`);
  }
  const ort = await loadRuntime(options.device);
  const session = await explainFailure(options.device, "create a session", () =>
    // Its declarations take the two kinds one by one.
    typeof model === "string"
      ? ort.InferenceSession.create(model, nativeOptions(options))
      : ort.InferenceSession.create(model, nativeOptions(options)),
  );
  liveSessions++;
  let released = false;

  async function run(
    feeds: Readonly<Record<string, FedTensor>>,
    fetches: readonly string[] | Record<string, Tensor>,
  ): Promise<InferenceSession.ReturnType> {
    if (released) throw new DeviceError("the session was released; create a new one to run the model again");
    return explainFailure(options.device, "run the model", () => session.run(wrapAll(feeds), fetches));
  }
  function wrapAll(tensors: Readonly<Record<string, FedTensor>>): Record<string, Tensor> {
    const wrapped: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(tensors)) wrapped[name] = wrap(tensor);
    return wrapped;
  }
  // In most runs, most arrays are those of the run before.
  const known = new WeakMap<object, Tensor>();
  function wrap({ dtype, shape, data }: FedTensor): Tensor {
    let tensor = known.get(data);
    if (tensor?.type !== dtype || !sameShape(tensor.dims, shape)) {
      tensor = new ort.Tensor(dtype, data, shape);
      known.set(data, tensor);
    }
    return tensor;
  }

  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    async run(feeds, outputNames) {
      const results = await run(feeds, outputNames);
      return Object.fromEntries(outputNames.map((name) => [name, toHostTensor(name, results[name] as Tensor)]));
    },
    async runInto(feeds, outputs) {
      if (onnxRuntime.fillsOutputs) {
        await run(feeds, wrapAll(outputs));
        return;
      }
      const results = await run(feeds, Object.keys(outputs));
      for (const [name, { data }] of Object.entries(outputs)) data.set(results[name]!.data as typeof data);
    },
    async release() {
      if (released) return;
      released = true;
      liveSessions--;
      await session.release();
    },
  };
}

function loadRuntime(device: Device): Promise<OnnxModule> {
  return explainFailure(device, `load ${onnxRuntime.packageName}`, () => onnxRuntime.load(device));
}

function nativeOptions({ device, threads, forbidFallback = false }: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    intraOpNumThreads: onnxRuntime.threadsOf(threads),
    interOpNumThreads: 1,
    // The compiler fuses and orders by itself; the optimizer would merge recomputed nodes with the originals.
    graphOptimizationLevel: "disabled",
    // Memory patterns double the steady memory of a training step; without the arena the heap fragments.
    enableMemPattern: false,
    enableCpuMemArena: true,
    // Errors are thrown with the same words, so they are not printed as well.
    logSeverityLevel: 4,
    extra: {
      session: {
        // Threads that spin after a run would slow down every other session.
        force_spinning_stop: "1",
        // The default computes 4-bit products with int8 activations.
        qdq_matmulnbits_accuracy_level: "1",
        disable_cpu_ep_fallback: forbidFallback ? "1" : "0",
      },
    },
  };
}

async function explainFailure<T>(device: Device, what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const loss = device === "webgpu" ? await onnxRuntime.lossOfGpu() : null;
    if (loss !== null) {
      throw new DeviceError(
        `${device}: the GPU was lost: ${loss}\n` +
          "Begin again where another worker computes, on the GPU or on the device cpu: a run goes on by resume.",
        { cause },
      );
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (OUT_OF_MEMORY.test(reason)) {
      const lacking = /requested buffer of size (\d+)/.exec(reason)?.[1];
      const more = lacking === undefined ? "" : ` (${formatBytes(Number(lacking))} more were asked for)`;
      throw new MemoryError(
        `${device}: the memory ran out where ONNX Runtime was to ${what}${more}\n` +
          "Give it less to hold: a smaller batch or sequence, or gradient checkpointing; or close other programs, or " +
          "raise the limit of this shell or container (ulimit -v).",
        { cause },
      );
    }
    throw new DeviceError(`${device}: ONNX Runtime could not ${what}: ${reason}\n${remedyFor(reason)}`, { cause });
  }
}

/** Words of ONNX Runtime 1.30 and the standard library of C++ for memory, and threads, that they did not get. */
const OUT_OF_MEMORY = /bad_alloc|allocat|memory|pthread_create|PosixThread/i;

/** The way out, chosen by ONNX Runtime 1.30's message. */
function remedyFor(reason: string): string {
  if (/WebGPU adapter|backend not found/.test(reason)) {
    return "WebGPU needs a Vulkan, Metal or Direct3D 12 driver: install one, or use the device cpu.";
  }
  if (/fallback to CPU EP/.test(reason)) {
    return "Lower the graph to operators that WebGPU has, or leave out forbidFallback.";
  }
  if (/shared object|dynamic library|Cannot find (module|package)|specified module/i.test(reason)) {
    return `Install the dependencies again (npm ci) on a platform for which ${onnxRuntime.packageName} has binaries.`;
  }
  return "The model or its inputs do not fit ONNX Runtime; this is a fault of the graph, not of the device.";
}

function toHostTensor(name: string, tensor: Tensor): HostTensor {
  const shape = tensor.dims;
  if (tensor.type === "int64") return { dtype: "int32", shape, data: narrowInt64(name, tensor.data as BigInt64Array) };
  if (!isDType(tensor.type)) {
    throw new DTypeError(
      `output "${name}" is ${tensor.type}; cast it to float32, int32, int8, uint8 or bool in the graph`,
    );
  }
  return { dtype: tensor.type, shape, data: tensor.data as TypedArray };
}

function isDType(type: string): type is DType {
  return ["float32", "int32", "int8", "uint8", "bool"].includes(type);
}

function narrowInt64(name: string, wide: BigInt64Array): Int32Array {
  return Int32Array.from(wide, (value) => {
    if (BigInt.asIntN(32, value) !== value) {
      throw new DTypeError(`output "${name}" is int64 and holds ${value}, which int32 does not; cast it in the graph`);
    }
    return Number(value);
  });
}
