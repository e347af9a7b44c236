import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

/** Where the repository is: `npm run bench` starts there. */
export const REPOSITORY: string = process.cwd();

/** Sizes of a LLaMA as in bench/presets.json, under the names of a Hugging Face config.json. */
export interface Preset {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  /** Default: as many as heads. */
  readonly num_key_value_heads?: number;
  /** Default false. */
  readonly tie_word_embeddings?: boolean;
}

/** What one step trains: `batch` rows of `sequence` tokens through a preset's model. */
export interface StepOptions {
  readonly preset: string;
  /** With low-rank adapters on all seven linears, which stay frozen; with `relora` all other weights train too. */
  readonly method: "lora" | "relora" | "full";
  readonly rank: number;
  readonly vocab: number;
  readonly batch: number;
  readonly sequence: number;
  /** Batches whose gradients are added up for the step; only highrank can have several. */
  readonly microBatches: number;
  readonly threads: number;
  /** Recompute each block in the backward pass instead of keeping its activations. */
  readonly checkpointing: boolean;
  /** Format of the frozen weights under the adapters; only highrank can. */
  readonly quantize: "none" | "nf4" | "int8";
}

export function readPreset(name: string): Preset {
  const presets = JSON.parse(readFileSync(join(REPOSITORY, "bench", "presets.json"), "utf8")) as Record<string, Preset>;
  const preset = presets[name];
  if (preset === undefined) throw new Error(`no preset "${name}"; there are ${Object.keys(presets).join(", ")}`);
  return preset;
}

/** Version of an installed dependency. */
export function readPackageVersion(name: string): string {
  const manifest = readFileSync(join(REPOSITORY, "node_modules", name, "package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** The command line that a side understands; what not every side can only when it is asked for. */
export function stepArguments({ checkpointing, quantize, microBatches, ...options }: StepOptions): string[] {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  if (checkpointing) args.push("--checkpointing");
  if (microBatches > 1) args.push("--micro-batches", String(microBatches));
  return quantize === "none" ? args : [...args, "--quantize", quantize];
}

/** Reads what `stepArguments` wrote. */
export function parseStepOptions(args: readonly string[]): StepOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      preset: { type: "string", default: "9m" },
      method: { type: "string", default: "relora" },
      rank: { type: "string", default: "128" },
      vocab: { type: "string", default: "32100" },
      batch: { type: "string", default: "4" },
      sequence: { type: "string", default: "256" },
      "micro-batches": { type: "string", default: "1" },
      threads: { type: "string", default: "2" },
      checkpointing: { type: "boolean", default: false },
      quantize: { type: "string", default: "none" },
    },
  });
  const { quantize } = values;
  if (quantize !== "none" && quantize !== "nf4" && quantize !== "int8") throw new Error(`no format "${quantize}"`);
  const { method } = values;
  if (method !== "lora" && method !== "relora" && method !== "full") throw new Error(`no method "${method}"`);
  return {
    preset: values.preset,
    method,
    rank: Number(values.rank),
    vocab: Number(values.vocab),
    batch: Number(values.batch),
    sequence: Number(values.sequence),
    microBatches: Number(values["micro-batches"]),
    threads: Number(values.threads),
    checkpointing: values.checkpointing,
    quantize,
  };
}

/**
 * A batch that every side trains on, row-major [batch, sequence]: token i of the stream is (7919 i + 13) mod vocab, and
 * micro-batches follow one another in it.
 */
export function fixedBatch(
  { batch, sequence, vocab }: StepOptions,
  microBatch = 0,
): { inputIds: Int32Array; labels: Int32Array } {
  const tokens = batch * sequence;
  const stream = Int32Array.from({ length: tokens + 1 }, (_, i) => ((microBatch * tokens + i) * 7919 + 13) % vocab);
  return { inputIds: stream.slice(0, -1), labels: stream.slice(1) };
}
