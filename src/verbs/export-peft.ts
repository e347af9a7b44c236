import { absolutePath, exists } from "#platform";
import { lostInAdapter } from "../adapters/merge-policies.js";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { CARD } from "../files/own-card.js";
import { type PeftAdapter, readPeftAdapter, savedInFull, writePeftAdapter } from "../formats/peft.js";
import { asInTransformers } from "../formats/peft-names.js";
import { isCommit, parseHubName } from "../hub/hub-name.js";
import { hubModelOf } from "../hub/locate-model.js";
import { baseOfAdapter } from "../loading/adapter-base.js";
import { tokenizerFiles } from "../loading/companions.js";
import { tiedNames } from "../loading/model-source.js";
import { describeHeld } from "../loading/unmerged-model.js";
import { IN_TRANSFORMERS } from "../models/architectures.js";
import { isMerged, openRunAsModel, restoreTrained, type SavedRun } from "../runs/saved-run.js";
import { joinAdapter } from "../runs/saving.js";
import type { HostTensor } from "../tensor/dtype.js";
import type { Target } from "./target.js";
import { hasChatTemplate, targetCard } from "./target-card.js";

/** A PEFT adapter, written. */
export interface ExportedAdapter {
  readonly format: "peft";
  readonly folder: string;
  /** The rank of every layer: cycles × rank, plus the rank of what is not merged yet. */
  readonly rank: number;
  /** Adapted layers. */
  readonly layers: number;
  /** Parameters that the adapter replaces in full, by name on disk. */
  readonly modulesToSave: readonly string[];
  /** The base that its config names; null where it names none. */
  readonly baseModel: string | null;
  /** The quantizer of the base in training, in words; null for float32 or where it is not known. */
  readonly quantizer: string | null;
}

/**
 * Writes a run or an adapter as one PEFT adapter, with the tokenizer of the run or that beside the adapter.
 * @throws ConfigError for a target that is no adapter.
 */
export async function exportPeft(target: Target, out: string): Promise<ExportedAdapter> {
  const { adapter, folder } = await adapterOf(target);
  const files = await tokenizerFiles(folder);
  const form = { kind: "adapter", hasTokenizer: files.size > 0, isChat: await hasChatTemplate(folder) } as const;
  const card = await targetCard(target, form);
  await writePeftAdapter(out, adapter, { files: new Map<string, string | Uint8Array>([...files, [CARD, card]]) });
  return {
    format: "peft",
    folder: out,
    rank: adapter.rank,
    layers: adapter.layers.size,
    modulesToSave: savedInFull(adapter),
    baseModel: adapter.baseModel,
    quantizer: adapter.base?.quantizer ?? null,
  };
}

/** The adapter, and the folder that holds its tokenizer if there is one. */
async function adapterOf(target: Target): Promise<{ readonly adapter: PeftAdapter; readonly folder: string }> {
  const { folder } = target;
  const wayOut = `write the whole model with ${optionName("to", "hf")}`;
  switch (target.kind) {
    case "adapter": {
      // The base, which tells the architecture, need not be at hand.
      const adapter = asInTransformers(await readPeftAdapter(folder), IN_TRANSFORMERS);
      const base = target.base ?? (await baseOfAdapter(folder, adapter, target.events.onNotice));
      const isNew = base !== null && (target.base !== null || (await exists(base)));
      return { adapter: isNew ? { ...adapter, ...(await namedBase(base)) } : adapter, folder };
    }
    case "run": {
      const run = await openRunAsModel(folder, target.checkpoint);
      return { adapter: await runAdapter(run, wayOut, target.events.onNotice), folder: run.baseFolder };
    }
    case "model":
      throw new ConfigError(`${folder} is a whole model, which has no adapter; ${wayOut}, or name a run or an adapter`);
  }
}

/** A base as adapter_config.json names it. */
async function namedBase(base: string): Promise<Pick<PeftAdapter, "baseModel" | "baseRevision">> {
  const model = await hubModelOf(base);
  if (model === undefined) return { baseModel: absolutePath(base), baseRevision: null };
  return { baseModel: model.name, baseRevision: base.includes("@") ? model.revision : null };
}

/** The model of the hub whose weights RUN/base holds, which anybody can get; undefined if there is none. */
function hubBase({ settings, state }: SavedRun): Pick<PeftAdapter, "baseModel" | "baseRevision" | "base"> | undefined {
  const model = parseHubName(settings.model);
  if (model === undefined || !isCommit(model.revision) || settings.warmStartSteps > 0) return undefined;
  return { baseModel: model.name, baseRevision: model.revision, base: { ...state.base, sha256: null } };
}

/**
 * A run as one adapter, whose rank is the sum over its cycles. Parameters trained beside the adapters are part of it if
 * they changed. Its base is the model of the hub that the run started from, or else RUN/base.
 * @param onNotice hears if base and adapter are not the model of the run.
 */
export async function runAdapter(
  run: SavedRun,
  wayOut: string,
  onNotice: (text: string) => void = () => {},
): Promise<PeftAdapter> {
  const { folder, settings, state, source } = run;
  if (settings.method === "full") {
    throw new ConfigError(`${folder} trained every weight (method full), which no adapter can hold; ${wayOut}`);
  }
  if (state.phase !== "adapter") {
    throw new ConfigError(
      `${folder} is still in its warm start, in which every weight trains, and has no adapter yet; ` +
        `resume it, or ${wayOut}`,
    );
  }
  const lost = lostInAdapter(settings.mergePolicy, describeHeld(run.quantizer));
  if (lost !== null) onNotice(`${folder}: ${lost}; for that, ${wayOut}.`);
  const model = restoreTrained(run);
  const adapter = await joinAdapter(folder, { model, settings, state, merged: isMerged(run) });
  const { embeddings, head } = tiedNames(model);
  const modulesToSave = new Map<string, HostTensor>();
  for (const [name, tensor] of adapter.modulesToSave) {
    const before = await source.readWeight(name === head ? embeddings : name);
    if (before.some((value, i) => value !== tensor.data[i])) modulesToSave.set(name, tensor);
  }
  return asInTransformers({ ...adapter, ...hubBase(run), modulesToSave }, model.storage.inTransformers);
}
