import { exists } from "#platform";
import { requireArguments, TEXT } from "../base/arguments.js";
import { CheckpointError } from "../base/errors.js";
import { type HubModel, parseHubName } from "./hub-name.js";
import { misspeltPath } from "./misspelt-path.js";
import { type DownloadOptions, downloadModel } from "./model-download.js";

/** Location of a model. */
export interface LocatedModel {
  readonly folder: string;
  /** Permanent name of the weights: a path, or `organisation/name@COMMIT` for a model from the hub. */
  readonly name: string;
}

/**
 * Finds the folder of a model or adapter by its path or its name on the hub, `organisation/name` or
 * `organisation/name@revision`. A model from the hub is downloaded unless it is in the cache. A path takes precedence;
 * its content is not checked here.
 * @throws CheckpointError as `downloadModel`.
 */
export async function locateModel(text: string, options?: DownloadOptions): Promise<LocatedModel> {
  requireArguments("locateModel", { text: TEXT }, { text });
  const model = await hubModelOf(text);
  if (model === undefined) return { folder: text, name: text };
  const { folder, commit } = await downloadModel(model, options);
  return { folder, name: `${model.name}@${commit}` };
}

/** Like `locateModel`, without the name. */
export async function modelFolder(text: string, options?: DownloadOptions): Promise<string> {
  return (await locateModel(text, options)).folder;
}

/**
 * The model on the hub with this name; undefined for a path.
 * @throws CheckpointError for a missing path that is probably misspelt: `misspeltPath`.
 */
export async function hubModelOf(text: string): Promise<HubModel | undefined> {
  const model = parseHubName(text);
  if (model === undefined || (await exists(text))) return undefined;
  const fault = text.includes("@") ? null : await misspeltPath(text);
  if (fault === null) return model;
  throw new CheckpointError(`${text}: ${fault}, or for the model of the hub write ${text}@main`);
}
