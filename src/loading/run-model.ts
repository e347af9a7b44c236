import { exists, joinPath } from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName, RUN_SETTINGS } from "../base/naming.js";
import { type LocatedModel, locateModel } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { isAdapterFolder } from "./open-adapter.js";

/**
 * The folder of a model to begin from, where a run may be named as well: its finished model. Other paths are returned
 * as they are.
 * @throws ConfigError for a run without a finished model, and for an adapter, which say what to name instead.
 */
export async function modelToBeginFrom(path: string): Promise<string> {
  if (await isRun(path)) {
    const finished = joinPath(path, "model");
    if (await exists(finished)) return finished;
    throw new ConfigError(
      `${optionName("model")}: ${path} is a run that has not finished its model yet; finish it with highrank resume ${path}, ` +
        `or write its model as it is with highrank merge ${path} --out DIR and name that`,
    );
  }
  if ((await exists(path)) && (await isAdapterFolder(path))) {
    throw new ConfigError(
      `${optionName("model")}: ${path} is an adapter; name its base as ${optionName("model")}, and train it on with ` +
        optionName("adapterFrom", path),
    );
  }
  return path;
}

/**
 * Finds the folder of a tokenizer by its path, its name on the hub or that of a run that has one.
 * @throws ConfigError for a run without a tokenizer; CheckpointError as `locateModel`.
 */
export async function locateTokenizer(text: string, events?: DownloadEvents): Promise<LocatedModel> {
  if (!(await isRun(text))) return locateModel(text, { ...events, wanted: "tokenizer" });
  for (const folder of [joinPath(text, "model"), joinPath(text, "base")]) {
    if (await exists(joinPath(folder, "tokenizer.json"))) return { folder, name: folder };
  }
  throw new ConfigError(
    `${optionName("tokenizer")}: ${text} is a run without a tokenizer, as those on rows of tokens are; name a folder that has one`,
  );
}

function isRun(path: string): Promise<boolean> {
  return exists(joinPath(path, RUN_SETTINGS));
}
