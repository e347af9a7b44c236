import { exists, joinPath } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { namedAdapters, type ReadPeftAdapter, readPeftAdapter } from "../formats/peft.js";
import { asInModel } from "../formats/peft-names.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { baseOfAdapter } from "./adapter-base.js";
import { checkBase } from "./base-identity.js";
import { folderSource } from "./folder-source.js";
import type { ModelSource } from "./model-source.js";
import { type PeftEffect, peftEffect, untiesBase } from "./peft-effect.js";
import { resizedSource } from "./resized-source.js";

/** True if a folder holds a PEFT adapter, or nothing but folders that do. */
export async function isAdapterFolder(folder: string): Promise<boolean> {
  if (await exists(joinPath(folder, "adapter_config.json"))) return true;
  return !(await exists(joinPath(folder, "config.json"))) && (await namedAdapters(folder)).length > 0;
}

/** The name that the trainer of transformers gives to the states on the way to an adapter. */
const TRAINER_CHECKPOINT = /^checkpoint-\d+$/;

/** The folder of the tokenizer that an adapter was trained with: its own, or else that of its base. */
export async function tokenizerFolder(adapter: string, base: string): Promise<string> {
  return (await exists(joinPath(adapter, "tokenizer.json"))) ? adapter : base;
}

/** A PEFT adapter and the model that it is for. */
export interface OpenAdapter {
  readonly folder: string;
  readonly adapter: ReadPeftAdapter;
  readonly effect: PeftEffect;
  /** The base, untied where the adapter asks for that. */
  readonly source: ModelSource;
  readonly baseFolder: string;
  /** Rows of the vocabulary's tables that the adapter has and the base has not. */
  readonly addedTokens: number;
}

/**
 * Reads a PEFT adapter and opens its base: `given`, a folder or a name of the hub, or else the one that the adapter
 * names.
 * @throws CheckpointError if the adapter was trained on other weights in the same storage or does not fit these;
 * ConfigError if there is no base.
 */
export async function openAdapter(folder: string, given: string | null, events?: DownloadEvents): Promise<OpenAdapter> {
  const read = await readPeftAdapter(folder);
  const others = (await namedAdapters(folder)).filter((name) => !TRAINER_CHECKPOINT.test(name));
  if (others.length > 0) {
    const example = joinPath(folder, others[0]!);
    events?.onNotice?.(`${folder}: holds ${others.join(", ")} beside this adapter; name one to have it, as ${example}`);
  }
  const named = given ?? (await baseOfAdapter(folder, read, events?.onNotice));
  if (named === null)
    throw new ConfigError(`${folder}: the adapter names no base model; give one with ${optionName("base")}`);
  const baseFolder = await existing(
    await modelFolder(named, events),
    `give the adapter's base model with ${optionName("base")}`,
  );
  const asWritten = await folderSource(baseFolder, { onNotice: events?.onNotice });
  const model = asWritten.build();
  const adapter = asInModel(read, model.storage);
  const unties = untiesBase(adapter, model);
  const source = resizedSource(unties ? await folderSource(baseFolder, { untied: true }) : asWritten, adapter);
  const resized = source === asWritten ? model : source.build();
  const tokens = resized.config.vocabSize;
  await checkBase(baseFolder, asWritten, adapter.base, folder, { tokens, onNotice: events?.onNotice });
  const effect = peftEffect(adapter, source, resized, folder);
  const addedTokens = tokens - model.config.vocabSize;
  return { folder, adapter, effect: { ...effect, unties }, source, baseFolder, addedTokens };
}

/**
 * Opens an adapter for a base that others share.
 * @throws as `openAdapter`; CheckpointError for one that adds tokens to the base.
 */
export async function openAdapterOn(base: string, folder: string, events?: DownloadEvents): Promise<OpenAdapter> {
  const opened = await openAdapter(folder, base, events);
  const { addedTokens, source } = opened;
  if (addedTokens === 0) return opened;
  const { vocabSize } = source.build().config;
  throw new CheckpointError(
    `${folder}: has ${vocabSize} tokens and ${base} ${vocabSize - addedTokens}; use it by itself, or merge it`,
  );
}

/** @throws CheckpointError, with the remedy, if there is no such folder. */
export async function existing(folder: string, remedy: string): Promise<string> {
  if (await exists(folder)) return folder;
  throw new CheckpointError(`${folder}: there is no such folder; ${remedy}`);
}
