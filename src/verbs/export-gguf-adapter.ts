import { baseName, extension, fileSize } from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { largest } from "../base/numbers.js";
import { loraScalings } from "../formats/peft.js";
import { termOf } from "../formats/peft-tensors.js";
import { GGUF_FILE_TYPES } from "../gguf/file-types.js";
import { isGgufName } from "../gguf/open-gguf.js";
import type { GgufValue } from "../gguf/types.js";
import { writeGguf } from "../gguf/write-gguf.js";
import { ggufAdapterOf } from "../gguf/written-adapter.js";
import { ggufConfigOf } from "../gguf/written-config.js";
import { openAdapter } from "../loading/open-adapter.js";
import type { LayerUpdate } from "../loading/updated-linear.js";
import { openRunAsModel } from "../runs/saved-run.js";
import { runAdapter } from "./export-peft.js";
import { ggufOriginOf } from "./gguf-origin.js";
import type { Target } from "./target.js";

/** Types of the factors in a GGUF adapter: rows of so few numbers are no blocks. */
const ADAPTER_TYPES = ["f32", "f16", "bf16"] as const;

/** A LoRA for llama.cpp, written. */
export interface ExportedGgufAdapter {
  readonly format: "gguf-adapter";
  readonly file: string;
  readonly type: (typeof ADAPTER_TYPES)[number];
  /** The largest rank of a layer: of a run cycles × rank, plus the rank of what is not merged yet. */
  readonly rank: number;
  /** Adapted layers. */
  readonly layers: number;
  /** `adapter.lora.alpha`; llama.cpp multiplies each layer's B · A with alpha / rank. */
  readonly alpha: number;
  /** The model whose GGUF file it goes with; null where the adapter names none. */
  readonly baseModel: string | null;
  readonly fileBytes: number;
  /** The quantizer of the base in training, in words; null for float32 or where it is not known. */
  readonly quantizer: string | null;
}

/**
 * Writes a run or a PEFT adapter as a GGUF file for llama.cpp's `--lora`.
 * @param type of the factors; null for f32.
 * @throws ConfigError for a target that is no adapter, and for all in it that is no low-rank update of a linear layer;
 * ModelError for a base that llama.cpp does not have.
 */
export async function exportGgufAdapter(
  target: Target,
  { out, type }: { readonly out: string; readonly type: keyof typeof GGUF_FILE_TYPES | null },
): Promise<ExportedGgufAdapter> {
  const chosen = ADAPTER_TYPES.find((each) => each === (type ?? "f32"));
  if (chosen === undefined) {
    throw new ConfigError(`${optionName("type")}: an adapter is ${ADAPTER_TYPES.join(", ")}, got ${type}`);
  }
  const { config, updates, others, baseModel, quantizer } = await lowRankOf(target);
  requirePlain(target.folder, updates, others);
  const adapter = ggufAdapterOf(updates, ggufConfigOf(config), GGUF_FILE_TYPES[chosen].matrices);
  const name = baseName(out).slice(0, -extension(out).length);
  const metadata = new Map<string, GgufValue>([
    ...adapter.metadata,
    ["general.name", { type: "string", value: name }],
    ...(await ggufOriginOf(target)),
    ["general.file_type", { type: "uint32", value: GGUF_FILE_TYPES[chosen].number }],
  ]);
  await writeGguf(out, { ...adapter, metadata }, { replace: false });
  return {
    format: "gguf-adapter",
    file: out,
    type: chosen,
    rank: largest([...updates.values()].map(({ rank }) => rank)),
    layers: updates.size,
    alpha: adapter.alpha,
    baseModel,
    fileBytes: await fileSize(out),
    quantizer,
  };
}

/** The changes of an adapter, and the model that it changes. */
interface LowRank {
  /** config.json of the base. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly updates: ReadonlyMap<string, LayerUpdate>;
  /** Names of parameters that are changed in full. */
  readonly others: readonly string[];
  readonly baseModel: string | null;
  readonly quantizer: string | null;
}

async function lowRankOf(target: Target): Promise<LowRank> {
  const { folder, events } = target;
  switch (target.kind) {
    case "run": {
      const run = await openRunAsModel(folder, target.checkpoint);
      const adapter = await runAdapter(run, wayOut(), events.onNotice);
      const { layers, biases = new Map(), modulesToSave, base } = adapter;
      const scalings = loraScalings(layers.keys(), adapter);
      const updates = new Map(
        [...layers].map(([layer, pair]) => [layer, termOf(pair, scalings.get(layer)!.scaling)] as const),
      );
      const others = [...modulesToSave.keys(), ...biases.keys()];
      const { model, warmStartSteps } = run.settings;
      // The file that the run began with is a base as it is.
      const baseModel = isGgufName(model) && warmStartSteps === 0 ? model : adapter.baseModel;
      return { config: run.source.config, updates, others, baseModel, quantizer: base?.quantizer ?? null };
    }
    case "adapter": {
      const { adapter, effect, source } = await openAdapter(folder, target.base, events);
      const baseModel = target.base ?? adapter.baseModel;
      const { replaced, updates } = effect;
      const others = [...replaced.keys()];
      return { config: source.config, updates, others, baseModel, quantizer: adapter.base?.quantizer ?? null };
    }
    case "model":
      if (target.adapters.length > 0) {
        throw new ConfigError(
          `${optionName("adapters")} is for whole models; with ${optionName("adapterOnly")} name one run or adapter`,
        );
      }
      throw new ConfigError(
        `${folder} is a whole model, which has no adapter; ${wayOut()}, or name a run or an adapter`,
      );
  }
}

/** @throws ConfigError naming all that llama.cpp's adapters cannot hold. */
function requirePlain(where: string, updates: LowRank["updates"], others: readonly string[]): void {
  const layersWith = (part: "magnitude" | "bias"): string[] =>
    [...updates].filter(([, update]) => update[part] !== undefined).map(([layer]) => layer);
  const faults: string[] = [];
  const [magnitudes, biases] = [layersWith("magnitude"), layersWith("bias")];
  if (magnitudes.length > 0) faults.push(`the magnitudes of DoRA (${shortList(magnitudes)})`);
  if (biases.length > 0) faults.push(`biases of LoRA (${shortList(biases)})`);
  if (others.length > 0) faults.push(`what was trained in full or is no linear layer (${shortList(others)})`);
  if (faults.length > 0) {
    throw new ConfigError(`${where}: an adapter of llama.cpp cannot hold ${faults.join(", nor ")}; ${wayOut()}`);
  }
  if (updates.size === 0) throw new ConfigError(`${where} adapts no layer; ${wayOut()}`);
}

function shortList(names: readonly string[]): string {
  return names.length <= 3 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}

function wayOut(): string {
  return `write the whole model without ${optionName("adapterOnly")}`;
}
