import { joinPath } from "#platform";
import { adapterParameters, linearLayers, loraAdapters, mergeableLayers } from "../adapters/inject.js";
import type { LoRAAdapter } from "../adapters/lora-adapter.js";
import { joinTerms, type LowRankTerm } from "../adapters/low-rank-term.js";
import { shortestNames } from "../adapters/target-modules.js";
import type { Settings } from "../config/settings.js";
import { type PeftAdapter, writePeftAdapter } from "../formats/peft.js";
import { moduleOf } from "../formats/peft-tensors.js";
import { hostTensors, modelParameters, tiedNames } from "../loading/model-source.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import type { AdamW } from "../optim/adamw.js";
import { readDeltas } from "../relora/delta-log.js";
import { learnedTerms, pairsOf, termsOf } from "../relora/delta-terms.js";
import type { HostTensor } from "../tensor/dtype.js";
import { writeCheckpoint } from "./checkpoint.js";
import type { RunState } from "./run-state.js";

/** Parts of a checkpoint. */
export interface CheckpointParts {
  /** Parameters that are trained now, by name on disk. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly optimizer: AdamW;
  /** By the name of their layer. */
  readonly adapters: ReadonlyMap<string, LoRAAdapter>;
  readonly state: Omit<RunState, "optimizerSteps">;
}

/**
 * Writes RUN/checkpoint-STEP: everything trained in the present phase, the optimizer's moments with their step
 * counters, where adapters started that did not start at zero, and `state`. Frozen weights follow from base/ and
 * deltas/. Returns its folder.
 */
export function saveCheckpoint(
  runDir: string,
  step: number,
  { parameters, optimizer, adapters, state }: CheckpointParts,
): Promise<string> {
  const moments = new Map<string, HostTensor>();
  const optimizerSteps: Record<string, number> = {};
  for (const [name, { expAvg, expAvgSq, step: updates }] of optimizer.state) {
    const { shape } = parameters.get(name)!;
    moments.set(`${name}.exp_avg`, { dtype: "float32", shape, data: expAvg });
    moments.set(`${name}.exp_avg_sq`, { dtype: "float32", shape, data: expAvgSq });
    optimizerSteps[name] = updates;
  }
  const starts = new Map<string, HostTensor>();
  for (const [name, { loraA, loraB, start }] of adapters) {
    if (start === undefined) continue;
    starts.set(`${name}.loraA`, { dtype: "float32", shape: loraA.shape, data: start.loraA });
    starts.set(`${name}.loraB`, { dtype: "float32", shape: loraB.shape, data: start.loraB });
  }
  const fullState: RunState = { ...state, optimizerSteps };
  return writeCheckpoint(runDir, step, {
    state: { ...fullState },
    tensorFiles: {
      trainable: hostTensors(parameters),
      optimizer: moments,
      ...(starts.size > 0 && { adapter_start: starts }),
    },
  });
}

/** Bytes that `saveCheckpoint` writes, without its small files. */
export function checkpointBytes({ parameters, adapters }: Omit<CheckpointParts, "state">): number {
  let elements = 0;
  for (const { size } of parameters.values()) elements += 3 * size;
  for (const { start } of adapters.values())
    if (start !== undefined) elements += start.loraA.length + start.loraB.length;
  return 4 * elements;
}

/** Bytes of the adapters of a model, as a cycle of the delta log or a PEFT folder holds them. */
export function adapterBytes(model: CausalLM): number {
  let elements = 0;
  for (const { size } of adapterParameters(model).values()) elements += size;
  return 4 * elements;
}

/** Gives adapters the starts that `saveCheckpoint` saved. */
export function restoreStarts(
  adapters: ReadonlyMap<string, LoRAAdapter>,
  starts: ReadonlyMap<string, HostTensor> | undefined,
): void {
  for (const [name, adapter] of adapters) {
    const [loraA, loraB] = ["loraA", "loraB"].map((factor) => starts?.get(`${name}.${factor}`)?.data as Float32Array);
    if (loraA !== undefined && loraB !== undefined) adapter.start = { loraA, loraB };
  }
}

/** The adapter of a run, to be written. */
export interface AdapterToSave {
  readonly model: CausalLM;
  readonly settings: Pick<Settings, "dropout" | "bias" | "adapterKind">;
  readonly state: Pick<RunState, "base" | "deltas">;
  /** True if the present adapter was merged just now, so that it has learned nothing yet. */
  readonly merged: boolean;
}

/** Writes RUN/adapter, which PEFT puts on RUN/base to get the run's model. */
export async function saveAdapter(runDir: string, adapter: AdapterToSave): Promise<void> {
  await writePeftAdapter(joinPath(runDir, "adapter"), await joinAdapter(runDir, adapter), {
    replace: true,
    checksums: true,
  });
}

/**
 * The finished cycles and what the present adapter has learned, joined into one adapter for RUN/base, and what is
 * trained beside.
 */
export async function joinAdapter(
  runDir: string,
  { model, settings: { dropout, bias, adapterKind }, state: { base, deltas }, merged }: AdapterToSave,
): Promise<PeftAdapter> {
  const terms = new Map<string, LowRankTerm[]>();
  for (const name of loraAdapters(model).keys()) terms.set(name, []);
  for await (const delta of readDeltas(runDir, deltas)) {
    for (const [name, term] of termsOf(delta)) terms.get(name)!.push(term);
  }
  if (!merged) for (const [name, term] of learnedTerms(model)) terms.get(name)!.push(term);
  const joined = new Map([...terms].map(([name, each]) => [name, joinTerms(each)] as const));
  const layers = pairsOf(joined);
  const trained = modelParameters(model);
  for (const [name, { trainable }] of trained) if (!trainable) trained.delete(name);
  const [biases, modulesToSave] = [new Map<string, HostTensor>(), new Map<string, HostTensor>()];
  for (const [name, tensor] of hostTensors(trained)) {
    const isBias = name.endsWith(".bias") && (bias === "all" || (bias === "lora_only" && layers.has(moduleOf(name))));
    (isBias ? biases : modulesToSave).set(name, tensor);
  }
  const { embeddings, head } = tiedNames(model);
  // PEFT unties what it saves in full.
  if (head !== undefined && trained.has(embeddings)) modulesToSave.set(head, modulesToSave.get(embeddings)!);
  return {
    ...ranksAndAlphas(joined),
    baseModel: joinPath(runDir, "base"),
    dropout,
    useRslora: false,
    useDora: adapterKind === "dora",
    bias,
    fanInFanOut: [...layers.keys()].every((layer) => model.storage.isTransposed(`${layer}.weight`)),
    targetModules: [...shortestNames(linearNames(model), (name) => layers.has(name) || undefined).keys()],
    layers,
    biases,
    modulesToSave,
    base,
  };
}

/** Rank and alpha of most layers, and those of the others by the shortest names for them. */
function ranksAndAlphas(
  terms: ReadonlyMap<string, LowRankTerm>,
): Pick<PeftAdapter, "rank" | "alpha" | "rankPattern" | "alphaPattern"> {
  const names = [...terms.keys()];
  const [rank, rankPattern] = mostAndOthers(names, (name) => terms.get(name)!.rank);
  const [alpha, alphaPattern] = mostAndOthers(names, (name) => terms.get(name)!.scaling * terms.get(name)!.rank);
  return { rank, alpha, rankPattern, alphaPattern };
}

function mostAndOthers(names: readonly string[], valueFor: (name: string) => number): [number, Record<string, number>] {
  const counts = new Map<number, number>();
  for (const name of names) counts.set(valueFor(name), (counts.get(valueFor(name)) ?? 0) + 1);
  const [[most]] = [...counts].sort(([, a], [, b]) => b - a) as [[number, number]];
  const others = [...shortestNames(names, valueFor)].filter(([, value]) => value !== most);
  // Keys are regular expressions.
  return [most, Object.fromEntries(others.map(([name, value]) => [name.replaceAll(".", "\\."), value] as const))];
}

/** All linear layers, with and without an adapter, by name. */
function linearNames(model: CausalLM): string[] {
  return [...linearLayers(model).keys(), ...mergeableLayers(model).keys()];
}
