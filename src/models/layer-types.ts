import { shownValue } from "../base/json.js";
import type { ConfigReader } from "./config-reader.js";

const [SLIDING, FULL] = ["sliding_attention", "full_attention"] as const;

/**
 * Returns a function that is true for layers, from 0, that look back only on a window: by `layer_types`, or else by
 * `fallback`.
 */
export function readLayerTypes(
  reader: ConfigReader,
  numLayers: number,
  fallback: (layer: number) => boolean,
): (layer: number) => boolean {
  if (!reader.has("layer_types")) return fallback;
  const { layer_types: given } = reader.json;
  const types: readonly unknown[] = Array.isArray(given) ? given : [];
  if (types.length !== numLayers)
    reader.faults.push(`layer_types must name ${numLayers} layers, got ${shownValue(given)}`);
  for (const type of new Set(types)) {
    if (type !== SLIDING && type !== FULL)
      reader.refuse(`layer_types has ${shownValue(type)}, supported are ${SLIDING}, ${FULL}`);
  }
  return (layer) => types[layer] === SLIDING;
}
