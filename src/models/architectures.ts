import { CheckpointError, ModelError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import type { Architecture, ModelDescription } from "./causal-lm.js";
import { GEMMA3 } from "./gemma3.js";
import { GPT_NEOX } from "./gpt-neox.js";
import { GPT2 } from "./gpt2.js";
import { LLAMA } from "./llama.js";
import { MISTRAL } from "./mistral.js";
import { PHI3 } from "./phi3.js";
import { QWEN2 } from "./qwen2.js";
import { QWEN3 } from "./qwen3.js";

const ARCHITECTURES: readonly Architecture[] = [LLAMA, MISTRAL, QWEN2, QWEN3, PHI3, GEMMA3, GPT2, GPT_NEOX];

/** Names in transformers of modules that it names otherwise, of all architectures: no two have one name for two. */
export const IN_TRANSFORMERS: ReadonlyMap<string, string> = new Map(
  ARCHITECTURES.flatMap(({ inTransformers }) => [...(inTransformers ?? [])]),
);

const EXPERTS = "mixes experts; that is not computed here, so take a model without them";
const IMAGES = "reads images too; that is not computed here, so take a model of text alone";

/** Reasons why architectures close to a supported one are not supported. */
const REFUSED: Readonly<Record<string, string>> = {
  mixtral: EXPERTS,
  qwen2_moe: EXPERTS,
  qwen3_moe: EXPERTS,
  phimoe: EXPERTS,
  mistral3: IMAGES,
  phi3_v: IMAGES,
  qwen2_vl: IMAGES,
  qwen2_5_vl: IMAGES,
  qwen3_vl: IMAGES,
  gemma3: `reads images too (Gemma3ForConditionalGeneration); save its text model alone, with model_type "gemma3_text"`,
};

/**
 * Reads a model folder's config.json.
 * @throws ModelError for an architecture or an option that is not supported; CheckpointError for invalid values.
 */
export function describeModel(json: Readonly<Record<string, unknown>>): ModelDescription {
  const { model_type: type } = json;
  const architecture = ARCHITECTURES.find(({ modelType }) => modelType === type);
  if (architecture !== undefined) return architecture.describe(json);
  if (typeof type === "string" && Object.hasOwn(REFUSED, type)) {
    throw new ModelError(`config.json: model_type is "${type}", which ${REFUSED[type]}`);
  }
  if (typeof type !== "string") {
    throw new CheckpointError(`config.json: model_type must be the name of an architecture, got ${shownValue(type)}`);
  }
  const supported = ARCHITECTURES.map(({ modelType }) => modelType).join(", ");
  throw new ModelError(
    `config.json: model_type is ${shownValue(type)}, which is not supported; supported are ${supported}`,
  );
}
