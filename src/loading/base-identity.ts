import { CheckpointError } from "../base/errors.js";
import { readChecksums } from "../files/checksums.js";
import { hashGgufFile, hashModelFolder } from "../formats/base-hash.js";
import type { PeftBase } from "../formats/peft.js";
import { isGgufName } from "../gguf/open-gguf.js";
import type { CausalLM } from "../models/causal-lm.js";
import { describeQuantizer, type Quantizer } from "../quant/quantizer.js";
import type { ModelSource } from "./model-source.js";
import { quantizerOfModel } from "./quantizing.js";

/** Identity of the weights that a run was trained on. */
export interface BaseIdentity {
  /** SHA-256 of the weight files of the model folder. */
  readonly sha256: string;
  /** The quantizer of training, in words; null for float32. */
  readonly quantizer: string | null;
  /** Type of the numbers in the files; absent for float32 that training leaves so. */
  readonly storage?: string | undefined;
  /** SHA-256 of the GGUF file that the model folder was made of; absent if there is none. */
  readonly gguf?: string | undefined;
}

/** The identity of a model folder that was just written from the source, with its checksums. */
export async function identify(
  folder: string,
  source: ModelSource,
  quantizer: Quantizer | null,
): Promise<BaseIdentity> {
  const sha256 = await hashModelFolder(folder, await readChecksums(folder));
  const storage = storageOf(source);
  const isPlain = quantizer === null && storage === FLOAT32;
  return {
    sha256,
    quantizer: quantizer && describeQuantizer(quantizer),
    ...(!isPlain && { storage }),
    ...(source.gguf !== undefined && { gguf: await hashGgufFile(source.gguf) }),
  };
}

const FLOAT32 = "float32";
const FILE_TYPES: Readonly<Record<string, string>> = { BF16: "bfloat16", F16: "float16" };

/** The type of the numbers in the model's files, in words: that of most of its matrices. */
function storageOf(source: ModelSource): string {
  const quantizer = quantizerOfModel(source.build());
  if (quantizer !== null) return describeQuantizer(quantizer);
  const counts = new Map<string, number>();
  for (const { fileType, shape } of source.tensors.values()) {
    const name = FILE_TYPES[fileType ?? ""] ?? FLOAT32;
    if (shape.length === 2) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? FLOAT32;
}

/**
 * Compares the base of an adapter with the one that it was trained on. Weights in another storage, as those of a
 * quantized model and of the float model that it was made of, cannot be compared: a notice says so. So it is with a
 * base to which the training added tokens. A GGUF file is the one that the run began with, or of another storage.
 * @param tokens of the vocabulary that the adapter is for.
 * @throws CheckpointError if the same storage holds other weights.
 */
export async function checkBase(
  folder: string,
  source: ModelSource,
  trainedOn: PeftBase | null,
  where: string,
  {
    tokens,
    onNotice = () => {},
  }: { readonly tokens: number; readonly onNotice?: ((text: string) => void) | undefined },
): Promise<void> {
  if (trainedOn === null || trainedOn.sha256 === null) return;
  const { vocabSize } = source.build().config;
  if (tokens !== vocabSize) {
    onNotice(
      `${where}: was trained on weights with ${tokens} tokens, and ${folder} has ${vocabSize}, so that they cannot ` +
        "be compared; make sure that it is the same model",
    );
    return;
  }
  const file = isGgufName(folder) ? trainedOn.gguf : undefined;
  const sha256 = await (file === undefined ? hashModelFolder(folder) : hashGgufFile(folder));
  if (sha256 === (file ?? trainedOn.sha256)) return;
  const was = file === undefined ? (trainedOn.storage ?? trainedOn.quantizer ?? FLOAT32) : "another GGUF file";
  const is = isGgufName(folder) ? "GGUF" : storageOf(source);
  if (was === is) throw otherBase(folder, source.build(), sha256, trainedOn, where);
  onNotice(
    `${where}: was trained on weights held in ${was}, and ${folder} holds ${is}, so that they cannot be compared; ` +
      "make sure that it is the same model",
  );
}

/**
 * @param checksums SHA-256 of files in the folder that were read already, by name.
 * @throws CheckpointError if the weights in the folder are not those that `where` was trained on.
 */
export async function requireBase(
  folder: string,
  model: CausalLM,
  trainedOn: BaseIdentity,
  where: string,
  checksums?: ReadonlyMap<string, string>,
): Promise<void> {
  const sha256 = await hashModelFolder(folder, checksums);
  if (sha256 !== trainedOn.sha256) throw otherBase(folder, model, sha256, trainedOn, where);
}

function otherBase(
  folder: string,
  model: CausalLM,
  sha256: string,
  trainedOn: Pick<PeftBase, "sha256" | "quantizer">,
  where: string,
): CheckpointError {
  const heldIn = (quantizer: string | null): string => (quantizer === null ? "" : `, held in ${quantizer}`);
  const present = quantizerOfModel(model);
  return new CheckpointError(
    `${where}: was trained on weights with SHA-256 ${trainedOn.sha256}${heldIn(trainedOn.quantizer)}, but those of ` +
      `${folder} have ${sha256}${heldIn(present && describeQuantizer(present))}; name the model that it was trained on`,
  );
}
