import { adaptersOf, linearLayers } from "../adapters/inject.js";
import { shortestNames } from "../adapters/target-modules.js";
import type { OpenSettings } from "../config/derive.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { checkpointFault } from "../files/faults.js";
import { loraScalings } from "../formats/peft.js";
import { moduleOf } from "../formats/peft-tensors.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { assignSome, diskParameters } from "../loading/model-source.js";
import { type OpenAdapter, openAdapter } from "../loading/open-adapter.js";
import { type CausalLM, modelParts } from "../models/causal-lm.js";
import { mostAndOthers } from "../runs/saving.js";

/** A PEFT adapter that the adapters of a run go on from. */
export interface AdapterStart {
  /** The settings of the run with those that the adapter has, so that `addAdapters` makes adapters of its form. */
  readonly settings: OpenSettings;
  /** Gives the adapters of a model its factors and lengths, and the model what it trains in full. */
  give(model: CausalLM): Promise<void>;
}

/**
 * Opens an adapter for training.
 * @param base the folder of the model that it is for.
 * @throws CheckpointError as `openAdapter`, and for an adapter that trains what a run does not; ConfigError for
 * settings that its form does not go with.
 */
export async function openAdapterStart(
  folder: string,
  base: string,
  given: OpenSettings,
  events?: DownloadEvents,
): Promise<AdapterStart> {
  const opened = await openAdapter(folder, base, events);
  const { effect } = opened;
  const settings = resolveSettings({ flags: { ...given, ...settingsOf(opened) } });
  return {
    settings,
    async give(model) {
      const adapters = adaptersOf(model);
      for (const [layer, term] of effect.updates) adapters.get(layer)!.goOnFrom(term);
      for (const [name, tensor] of effect.replaced) {
        const { dtype, shape } = tensor;
        assignSome(model, new Map([[name, { dtype, shape, data: await tensor.read() }]]), folder);
      }
    },
  };
}

/** The settings of a run that trains what the adapter trains. */
function settingsOf(opened: OpenAdapter): Partial<Settings> {
  const { folder, adapter, effect, source } = opened;
  const faults: string[] = [];
  const model = source.build();
  const layers = [...adapter.layers.keys()];
  const linears = [...linearLayers(model).keys()];
  if (opened.addedTokens !== 0) {
    const { vocabSize } = model.config;
    faults.push(
      `it has ${vocabSize} tokens and the base ${vocabSize - opened.addedTokens}; merge it, as with highrank merge, ` +
        "and train on what comes out",
    );
  }
  if (effect.unties) faults.push("it makes the embedding table and the output projection differ, which the base ties");
  for (const [trained, is] of [
    ["adapters of embedding tables", adapter.embeddings.size > 0],
    ["single tokens of embedding tables", adapter.tokens.size > 0],
    ["adapters of the output projection", layers.some((layer) => !linears.includes(layer))],
    ["biases of lora_B", adapter.loraBias],
    ...adapter.trainingOptions.map((option) => [`with ${option}`, true] as const),
  ] as const) {
    if (is) faults.push(`it trains ${trained}, which a run does not`);
  }
  const scalings = loraScalings(layers, adapter);
  const [rank, ranks] = mostAndOthers(layers, (layer) => scalings.get(layer)!.rank);
  const [alpha, alphas] = mostAndOthers(layers, (layer) => scalings.get(layer)!.alpha);
  if ([...scalings.values()].some((each) => each.alpha <= 0)) faults.push("lora_alpha must be above 0");
  const trainModules = trainedParts(model, opened, faults);
  if (faults.length > 0) throw checkpointFault(`training cannot go on from ${folder}`, faults);
  return {
    adapterKind: adapter.useDora ? "dora" : "lora",
    rank,
    alpha,
    rslora: adapter.useRslora,
    dropout: adapter.dropout,
    rankPattern: entriesOf(ranks),
    alphaPattern: entriesOf(alphas),
    targetModules: [...shortestNames(linears, (name) => adapter.layers.has(name) || undefined).keys()],
    excludeModules: [],
    layersToTransform: [],
    bias: adapter.bias,
    trainModules,
  };
}

/** The parts of the model that the adapter holds in full, beside the biases that it says. */
function trainedParts(model: CausalLM, { adapter, effect }: OpenAdapter, faults: string[]): Settings["trainModules"] {
  const { bias, layers } = adapter;
  const rest = new Set(effect.replaced.keys());
  const names = new Map<string, string[]>();
  const parts = modelParts(model);
  for (const [name, parameter] of diskParameters(model)) {
    const isBias = name.endsWith("bias") && (bias === "all" || (bias === "lora_only" && layers.has(moduleOf(name))));
    const part = isBias ? "biases" : parts.get(parameter)!;
    if (isBias || part === "embeddings" || part === "norms" || part === "head") {
      names.set(part, [...(names.get(part) ?? []), name]);
    }
  }
  const trained: string[] = [];
  for (const [part, each] of names) {
    const lacks = each.find((name) => !rest.has(name));
    if (part === "biases" ? lacks !== undefined : lacks !== undefined && each.some((name) => rest.has(name))) {
      faults.push(`it trains only some of the ${part}, without ${lacks}; a run trains all of them, or none`);
    }
    if (lacks === undefined && part !== "biases") trained.push(part);
    for (const name of each) rest.delete(name);
  }
  if (rest.size > 0) faults.push(`it trains ${[...rest].join(", ")} in full, which a run does not`);
  return trained as Settings["trainModules"];
}

/** Values by pattern as the settings have them. */
function entriesOf(patterns: Readonly<Record<string, number>>): string[] {
  return Object.entries(patterns).map(([pattern, value]) => `${pattern}=${value}`);
}
