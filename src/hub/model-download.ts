import { joinPath } from "#platform";
import { readJsonObject } from "../files/json-file.js";
import { downloadRepository, type HubOptions, type Snapshot, type WantedFiles } from "./hub-download.js";
import type { HubModel } from "./hub-name.js";
import { hasParts, selectFiles, shardFiles, type WantedParts } from "./model-files.js";

export type { DownloadEvents, DownloadProgress, Snapshot } from "./hub-download.js";

export interface DownloadOptions extends HubOptions {
  /** Default: everything that highrank reads. */
  readonly wanted?: WantedParts;
}

/**
 * Gets a model of the hub as a snapshot in the cache: safetensors, config and tokenizer, nothing else. A commit that is
 * present needs no network.
 * @throws as `downloadRepository`.
 */
export async function downloadModel(model: HubModel, options: DownloadOptions = {}): Promise<Snapshot> {
  const { wanted = "model", ...rest } = options;
  return downloadRepository(model, modelFiles(model, wanted), rest);
}

function modelFiles({ name: plain, revision }: HubModel, wanted: WantedParts): WantedFiles {
  const name = revision === "main" ? plain : `${plain}@${revision}`;
  return {
    kind: "model",
    areIn: (folder) => hasParts(folder, wanted),
    isWhole: (folder) => hasParts(folder, "tokenizer"),
    download: async (listed, fetch, folder) => {
      const { files, index } = selectFiles(name, listed, wanted);
      if (index === undefined) return fetch(files);
      await fetch([index], false);
      const shards = shardFiles(name, await readJsonObject(joinPath(folder, index.path)), listed);
      await fetch([...files, ...shards]);
    },
  };
}
