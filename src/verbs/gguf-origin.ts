import { exists, isDirectory, joinPath, readText } from "#platform";
import { readJsonObject } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { openGguf } from "../gguf/open-gguf.js";
import type { GgufValue } from "../gguf/types.js";
import { ggufBaseOf, ggufCardOf } from "../gguf/written-card.js";
import { type HubModel, isCommit, parseHubName } from "../hub/hub-name.js";
import { readRunSettings } from "../runs/run-folder.js";
import type { Target } from "./target.js";

type Keys = ReadonlyMap<string, GgufValue>;

const NONE: Keys = new Map();

/**
 * The keys of a GGUF file for where a target comes from: of a model what its card or its own file says, of what was
 * trained the model that it was trained on, if that is one of the hub.
 */
export async function ggufOriginOf(target: Target): Promise<Keys> {
  const { folder } = target;
  switch (target.kind) {
    case "run":
      // A run names a model of the hub with its commit.
      return hubKeys(parseHubName((await readRunSettings(folder)).model), ({ revision }) => isCommit(revision));
    case "adapter": {
      const config = await readJsonObject(await checkpointPath(folder, "adapter_config.json"));
      const base = target.base ?? config.base_model_name_or_path;
      const isFolder = typeof base !== "string" || (await exists(base));
      return hubKeys(isFolder ? undefined : parseHubName(base), () => true);
    }
    case "model":
      return target.adapters.length > 0 ? NONE : modelKeys(folder);
  }
}

/** @param isOfHub tells a model of the hub from a folder whose path looks like its name. */
function hubKeys(model: HubModel | undefined, isOfHub: (model: HubModel) => boolean): Keys {
  return model !== undefined && isOfHub(model) ? ggufBaseOf(model.name) : NONE;
}

async function modelKeys(folder: string): Promise<Keys> {
  if (!(await isDirectory(folder))) {
    const { metadata } = await openGguf(folder);
    const isWhole = (value: GgufValue): boolean => value.type !== "array" || value.items !== undefined;
    return new Map([...metadata].filter(([key, value]) => ORIGIN.test(key) && isWhole(value)));
  }
  if (!(await exists(joinPath(folder, "README.md")))) return NONE;
  return ggufCardOf(await readText(await checkpointPath(folder, "README.md")));
}

/** Keys of a file that hold of the same model in another type. */
const ORIGIN = /^general\.(author|organization|description|license|url|source|base_model|dataset|tags|languages)(\.|$)/;
