import { exists, isDirectory } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { type HubModel, parseHubName } from "./hub-name.js";
import { type DownloadOptions, downloadModel } from "./model-download.js";

/** Where a model lies. */
export interface LocatedModel {
  readonly folder: string;
  /** What names the same weights at any time: a path, or of a model of the hub `organisation/name@COMMIT`. */
  readonly name: string;
}

/**
 * The folder of what is named: a path, or a model or adapter of the hub, `organisation/name` or `organisation/name@revision`, which is
 * downloaded where it is not in the cache. A path is preferred, and is not looked at here. @throws CheckpointError as `downloadModel`.
 */
export async function locateModel(text: string, options?: DownloadOptions): Promise<LocatedModel> {
  const model = await hubModelOf(text);
  if (model === undefined) return { folder: text, name: text };
  const { folder, commit } = await downloadModel(model, options);
  return { folder, name: `${model.name}@${commit}` };
}

/** As `locateModel`, without a name. */
export async function modelFolder(text: string, options?: DownloadOptions): Promise<string> {
  return (await locateModel(text, options)).folder;
}

/**
 * The model of the hub that is named; undefined for a path.
 * @throws CheckpointError for the name of something that is not in a folder that is there: it may well be misspelt.
 */
export async function hubModelOf(text: string): Promise<HubModel | undefined> {
  const model = parseHubName(text);
  if (model === undefined || (await exists(text))) return undefined;
  const folder = text.split("/")[0]!;
  if (text.includes("@") || !(await isDirectory(folder))) return model;
  throw new CheckpointError(
    `${text}: there is no such file or folder in ${folder}; check the path, or for the model of the hub write ${text}@main`,
  );
}
