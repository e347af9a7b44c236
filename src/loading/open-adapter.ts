import { exists, joinPath } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { type ReadPeftAdapter, readPeftAdapter } from "../formats/peft.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { requireBase } from "./base-identity.js";
import { folderSource, type ModelSource } from "./model-source.js";
import { type PeftEffect, peftEffect } from "./peft-effect.js";
import { resizedSource } from "./resized-source.js";

/** True if a folder holds a PEFT adapter. */
export function isAdapterFolder(folder: string): Promise<boolean> {
  return exists(joinPath(folder, "adapter_config.json"));
}

/** The folder of the tokenizer that an adapter was trained with: its own, or else that of its base. */
export async function tokenizerFolder(adapter: string, base: string): Promise<string> {
  return (await exists(joinPath(adapter, "tokenizer.json"))) ? adapter : base;
}

/** A PEFT adapter and the model that it is for. */
export interface OpenAdapter {
  readonly folder: string;
  readonly adapter: ReadPeftAdapter;
  readonly effect: PeftEffect;
  readonly source: ModelSource;
  readonly baseFolder: string;
}

/**
 * Reads a PEFT adapter and opens its base: `given`, a folder or a name of the hub, or else the one that the adapter
 * names.
 * @throws CheckpointError if the adapter was trained on other weights or does not fit these; ConfigError if there is
 * no base.
 */
export async function openAdapter(folder: string, given: string | null, events?: DownloadEvents): Promise<OpenAdapter> {
  const adapter = await readPeftAdapter(folder);
  const named = given ?? (await baseNameOf(adapter));
  if (named === null) throw new ConfigError(`${folder}: the adapter names no base model; give one with --base`);
  const baseFolder = await existing(await modelFolder(named, events), "give the adapter's base model with --base");
  const base = await folderSource(baseFolder);
  await requireBase(baseFolder, base.build(), adapter.base, folder);
  const source = resizedSource(base, adapter);
  return { folder, adapter, effect: peftEffect(adapter, source, source.build(), folder), source, baseFolder };
}

/** The base that the adapter names: a path, or a name of the hub with the revision, where it has one. */
async function baseNameOf({ baseModel, baseRevision }: ReadPeftAdapter): Promise<string | null> {
  if (baseModel === null || baseRevision === null || (await exists(baseModel))) return baseModel;
  return `${baseModel}@${baseRevision}`;
}

/** @throws CheckpointError, with the remedy, if there is no such folder. */
export async function existing(folder: string, remedy: string): Promise<string> {
  if (await exists(folder)) return folder;
  throw new CheckpointError(`${folder}: there is no such folder; ${remedy}`);
}
