import { CheckpointError } from "../base/errors.js";
import { hashModelFolder } from "../formats/base-hash.js";
import { readChecksums } from "../formats/checksums.js";
import type { PeftBase } from "../formats/peft.js";
import type { CausalLM } from "../models/causal-lm.js";
import { describeQuantizer, type Quantizer } from "../quant/quantizer.js";
import { quantizerOfModel } from "./quantizing.js";

/** Identity of the weights that a run was trained on. */
export interface BaseIdentity {
  /** SHA-256 of the weight files of the model folder. */
  readonly sha256: string;
  /** The quantizer of training, in words; null for float32. */
  readonly quantizer: string | null;
}

/** The identity of a model folder that was just written, with its checksums. */
export async function identify(folder: string, quantizer: Quantizer | null): Promise<BaseIdentity> {
  const sha256 = await hashModelFolder(folder, await readChecksums(folder));
  return { sha256, quantizer: quantizer && describeQuantizer(quantizer) };
}

/**
 * @param checksums SHA-256 of files in the folder that were read already, by name.
 * @throws CheckpointError if the weights in the folder are not those that `where` was trained on.
 */
export async function requireBase(
  folder: string,
  model: CausalLM,
  trainedOn: PeftBase | null,
  where: string,
  checksums?: ReadonlyMap<string, string>,
): Promise<void> {
  if (trainedOn === null || trainedOn.sha256 === null) return;
  const sha256 = await hashModelFolder(folder, checksums);
  if (sha256 === trainedOn.sha256) return;
  const heldIn = (quantizer: string | null): string => (quantizer === null ? "" : `, held in ${quantizer}`);
  const present = quantizerOfModel(model);
  throw new CheckpointError(
    `${where}: was trained on weights with SHA-256 ${trainedOn.sha256}${heldIn(trainedOn.quantizer)}, but those of ` +
      `${folder} have ${sha256}${heldIn(present && describeQuantizer(present))}; name the model that it was trained on`,
  );
}
