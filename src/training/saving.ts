import { joinPath } from "#platform";
import { writeCheckpoint } from "../checkpoints/checkpoint.js";
import { readDeltas } from "../checkpoints/delta-log.js";
import { writeModelFolder } from "../checkpoints/model-folder.js";
import { type LoraPair, writePeftAdapter } from "../checkpoints/peft.js";
import type { Settings } from "../config/settings.js";
import type { Tokenizer } from "../data/tokenizer.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import type { Parameter } from "../nn/module.js";
import type { AdamW } from "../optim/adamw.js";
import type { HostTensor } from "../tensor/dtype.js";
import { adapterParameters, loraAdapters } from "./adapters.js";
import { diskParameters, hostTensors } from "./model-source.js";

/** The model without its adapters as a plain Hugging Face folder. */
export async function saveModel(
  folder: string,
  model: LlamaForCausalLM,
  config: Readonly<Record<string, unknown>>,
  tokenizer: Tokenizer,
): Promise<void> {
  const weights = diskParameters(model);
  for (const name of adapterParameters(model).keys()) weights.delete(name);
  const { endOfTextId } = tokenizer;
  const text = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const files = new Map([
    ["tokenizer.json", text(tokenizer.toJson())],
    ["tokenizer_config.json", text(tokenizer.config)],
    ["generation_config.json", text({ bos_token_id: endOfTextId, eos_token_id: endOfTextId })],
  ]);
  await writeModelFolder(folder, { config, tensors: hostTensors(weights), files }, { replace: true });
}

/**
 * Writes RUN/checkpoint-STEP: everything trained in the present phase, the optimizer's moments with their step counters, and
 * `state`. Frozen weights follow from base/ and deltas/. Returns its folder.
 */
export function saveCheckpoint(
  runDir: string,
  step: number,
  parameters: ReadonlyMap<string, Parameter>,
  optimizer: AdamW,
  state: Readonly<Record<string, unknown>>,
): Promise<string> {
  const moments = new Map<string, HostTensor>();
  const optimizerSteps: Record<string, number> = {};
  for (const [name, { expAvg, expAvgSq, step: updates }] of optimizer.state) {
    const { shape } = parameters.get(name)!;
    moments.set(`${name}.exp_avg`, { dtype: "float32", shape, data: expAvg });
    moments.set(`${name}.exp_avg_sq`, { dtype: "float32", shape, data: expAvgSq });
    optimizerSteps[name] = updates;
  }
  return writeCheckpoint(runDir, step, {
    state: { ...state, optimizerSteps },
    tensorFiles: { trainable: hostTensors(parameters), optimizer: moments },
  });
}

/**
 * Writes RUN/adapter, which PEFT puts on RUN/base to get the run's model: the finished cycles and, unless it was merged just
 * now, the present adapter, joined into one of rank cycles · rank, and what is trained beside.
 */
export async function saveAdapter(
  runDir: string,
  model: LlamaForCausalLM,
  settings: Settings,
  { merged }: { merged: boolean },
): Promise<void> {
  const parts: ReadonlyMap<string, LoraPair>[] = [];
  for await (const { layers } of readDeltas(runDir)) parts.push(layers);
  const adapters = loraAdapters(model);
  if (!merged) {
    parts.push(
      new Map(
        [...adapters].map(
          ([name, { loraA, loraB }]) => [name, { loraA: toHost(loraA), loraB: toHost(loraB) }] as const,
        ),
      ),
    );
  }
  const layers = new Map(
    [...adapters.keys()].map((name) => [name, join(parts.map((part) => part.get(name)!))] as const),
  );
  const modulesToSave = diskParameters(model);
  for (const name of adapterParameters(model).keys()) modulesToSave.delete(name);
  for (const [name, { trainable }] of modulesToSave) if (!trainable) modulesToSave.delete(name);
  const rank = parts.length * settings.rank;
  const { scaling } = [...adapters.values()][0]!;
  await writePeftAdapter(
    joinPath(runDir, "adapter"),
    {
      baseModel: joinPath(runDir, "base"),
      rank,
      alpha: scaling * rank,
      dropout: settings.dropout,
      useRslora: false,
      targetModules: settings.targetModules,
      layers,
      modulesToSave: hostTensors(modulesToSave),
    },
    { replace: true },
  );
}

function toHost({ shape, values }: Parameter): HostTensor {
  return { dtype: "float32", shape, data: values };
}

/** One pair whose product is the sum of the products: A below A, B beside B. */
function join(pairs: readonly LoraPair[]): LoraPair {
  const [rank, inFeatures] = pairs[0]!.loraA.shape as [number, number];
  const outFeatures = pairs[0]!.loraB.shape[0]!;
  const total = rank * pairs.length;
  const loraA = new Float32Array(total * inFeatures);
  const loraB = new Float32Array(outFeatures * total);
  for (const [i, pair] of pairs.entries()) {
    loraA.set(pair.loraA.data, i * rank * inFeatures);
    for (let row = 0; row < outFeatures; row++) {
      loraB.set(pair.loraB.data.subarray(row * rank, (row + 1) * rank), row * total + i * rank);
    }
  }
  return {
    loraA: { dtype: "float32", shape: [total, inFeatures], data: loraA },
    loraB: { dtype: "float32", shape: [outFeatures, total], data: loraB },
  };
}
