import { absolutePath, joinPath } from "#platform";
import { adaptersOf, linearLayers, mergeableLayers } from "../adapters/inject.js";
import type { LinearAdapter } from "../adapters/linear-adapter.js";
import { joinTerms, type LowRankTerm } from "../adapters/low-rank-term.js";
import { shortestNames } from "../adapters/target-modules.js";
import type { Settings } from "../config/settings.js";
import { checkpointFault } from "../files/faults.js";
import { type PeftAdapter, writePeftAdapter } from "../formats/peft.js";
import { asInTransformers } from "../formats/peft-names.js";
import { moduleOf } from "../formats/peft-tensors.js";
import { hostTensors, modelParameters, tiedNames } from "../loading/model-source.js";
import type { CausalLM } from "../models/causal-lm.js";
import { namedParameters, type Parameter } from "../nn/module.js";
import type { AdamW } from "../optim/adamw.js";
import { readDeltas } from "../relora/delta-log.js";
import { learnedTerms, pairsOf, termsOf } from "../relora/delta-terms.js";
import type { HostTensor } from "../tensor/dtype.js";
import { type Shape, sameShape } from "../tensor/shape.js";
import { writeCheckpoint } from "./checkpoint.js";
import type { RunState } from "./run-state.js";

/** Parts of a checkpoint. */
export interface CheckpointParts {
  /** Parameters that are trained now, by name on disk. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly optimizer: AdamW;
  /** By the name of their layer. */
  readonly adapters: ReadonlyMap<string, LinearAdapter>;
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
  for (const [layer, adapter] of adapters) {
    const shapes = namedParameters(adapter);
    for (const [name, data] of adapter.starts()) {
      starts.set(`${layer}.${name}`, { dtype: "float32", shape: shapes.get(name)!.shape, data });
    }
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
  for (const adapter of adapters.values()) for (const { length } of adapter.starts().values()) elements += length;
  return 4 * elements;
}

/** Bytes of the adapters of a model, as a cycle of the delta log or a PEFT folder holds them. */
export function adapterBytes(model: CausalLM): number {
  let elements = 0;
  for (const { learnedSize } of adaptersOf(model).values()) elements += learnedSize;
  return 4 * elements;
}

/**
 * The shapes of the starts that `saveCheckpoint` saves: all that is frozen of each adapter, and its parts where those
 * are among the present names, which says that they did not start at zero.
 */
export function startShapes(
  adapters: ReadonlyMap<string, LinearAdapter>,
  present: ReadonlyMap<string, unknown>,
): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const [layer, adapter] of adapters) {
    const hasParts = adapter.parts.some(({ name }) => present.has(`${layer}.${name}`));
    for (const [name, { shape, trainable }] of namedParameters(adapter)) {
      if (hasParts || !trainable) shapes.set(`${layer}.${name}`, shape);
    }
  }
  return shapes;
}

/**
 * Gives adapters the starts that `saveCheckpoint` saved in the folder.
 * @throws CheckpointError that names those that are missing or of another shape.
 */
export function restoreStarts(
  adapters: ReadonlyMap<string, LinearAdapter>,
  starts: ReadonlyMap<string, HostTensor> = new Map(),
  folder: string,
): void {
  const faults: string[] = [];
  for (const [name, shape] of startShapes(adapters, starts)) {
    const start = starts.get(name);
    if (start === undefined) faults.push(`adapter_start: ${name} is missing`);
    else if (!sameShape(start.shape, shape)) faults.push(`adapter_start: ${name} is of another shape`);
  }
  if (faults.length > 0) throw checkpointFault(folder, faults);
  for (const [layer, adapter] of adapters) {
    const prefix = `${layer}.`;
    adapter.restoreStarts(
      new Map(
        [...starts].flatMap(([name, { data }]) =>
          name.startsWith(prefix) ? [[name.slice(prefix.length), data as Float32Array] as const] : [],
        ),
      ),
    );
  }
}

/** The adapter of a run, to be written. */
export interface AdapterToSave {
  readonly model: CausalLM;
  readonly settings: Pick<Settings, "dropout" | "bias">;
  readonly state: Pick<RunState, "base" | "deltas">;
  /** True if the present adapter was merged just now, so that it has learned nothing yet. */
  readonly merged: boolean;
}

/** Writes RUN/adapter, which PEFT puts on RUN/base to get the run's model. */
export async function saveAdapter(runDir: string, adapter: AdapterToSave): Promise<void> {
  const joined = asInTransformers(await joinAdapter(runDir, adapter), adapter.model.storage.inTransformers);
  await writePeftAdapter(joinPath(runDir, "adapter"), joined, { replace: true, checksums: true });
}

/**
 * The finished cycles and what the present adapter has learned, joined into one adapter for RUN/base, and what is
 * trained beside.
 */
export async function joinAdapter(
  runDir: string,
  { model, settings: { dropout, bias }, state: { base, deltas }, merged }: AdapterToSave,
): Promise<PeftAdapter> {
  const terms = new Map<string, LowRankTerm[]>();
  for (const name of adaptersOf(model).keys()) terms.set(name, []);
  for await (const delta of readDeltas(runDir, deltas)) {
    for (const [name, term] of termsOf(delta)) terms.get(name)!.push(term);
  }
  if (!merged) for (const [name, term] of await learnedTerms(model)) terms.get(name)!.push(term);
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
    // A relative path would be one of the hub, or of another folder, to whoever reads it elsewhere.
    baseModel: absolutePath(joinPath(runDir, "base")),
    dropout,
    useRslora: false,
    useDora: [...joined.values()].some(({ magnitude }) => magnitude !== undefined),
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

/** The value of most names, and those of the others by patterns for the ends of names. */
export function mostAndOthers(
  names: readonly string[],
  valueFor: (name: string) => number,
): [number, Record<string, number>] {
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
