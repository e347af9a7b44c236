import { exists, joinPath } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { type ReadPeftAdapter, readPeftAdapter } from "../formats/peft.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { requireBase } from "./base-identity.js";
import { folderSource, type ModelSource } from "./model-source.js";
import { type PeftEffect, peftEffect, untiesBase } from "./peft-effect.js";

/** True if a folder holds a PEFT adapter. */
export function isAdapterFolder(folder: string): Promise<boolean> {
  return exists(joinPath(folder, "adapter_config.json"));
}

/** A PEFT adapter and the model that it is for. */
export interface OpenAdapter {
  readonly folder: string;
  readonly adapter: ReadPeftAdapter;
  readonly effect: PeftEffect;
  /** The base, untied where the adapter asks for that. */
  readonly source: ModelSource;
  readonly baseFolder: string;
}

/**
 * Reads a PEFT adapter and opens its base: `base`, a folder or a name of the hub, or else the one that the adapter
 * names.
 * @throws CheckpointError if the adapter was trained on other weights or does not fit these; ConfigError if there is
 * no base.
 */
export async function openAdapter(folder: string, base: string | null, events?: DownloadEvents): Promise<OpenAdapter> {
  const adapter = await readPeftAdapter(folder);
  const named = base ?? (await baseNameOf(adapter));
  if (named === null) throw new ConfigError(`${folder}: the adapter names no base model; give one with --base`);
  const baseFolder = await existing(await modelFolder(named, events), "give the adapter's base model with --base");
  const asWritten = await folderSource(baseFolder);
  const model = asWritten.build();
  await requireBase(baseFolder, model, adapter.base, folder);
  const unties = untiesBase(adapter, model);
  const source = unties ? await folderSource(baseFolder, { untied: true }) : asWritten;
  const effect = peftEffect(adapter, source, unties ? source.build() : model, folder);
  return { folder, adapter, effect: { ...effect, unties }, source, baseFolder };
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
