import { baseName, extension, fileSize } from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { readEndIds } from "../formats/generation-config.js";
import { GGUF_FILE_TYPES } from "../gguf/file-types.js";
import type { GgufValue } from "../gguf/types.js";
import { writeGguf } from "../gguf/write-gguf.js";
import { ggufConfigOf } from "../gguf/written-config.js";
import { ggufTensorsOf } from "../gguf/written-model.js";
import { ggufTokenizerNotices, ggufTokenizerOf } from "../gguf/written-tokenizer.js";
import { readTokenizer } from "../loading/companions.js";
import { requireNewFile } from "../loading/output-folder.js";
import type { UnmergedModel } from "../loading/unmerged-model.js";
import { countParameters, mergedTensors } from "../loading/unmerged-model.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";

/** A GGUF file, written. */
export interface ExportedGguf {
  readonly format: "gguf";
  readonly file: string;
  readonly type: keyof typeof GGUF_FILE_TYPES;
  readonly parameters: number;
  readonly fileBytes: number;
  /** Rounding of the tensors of each type: the norm of the difference over that of the exact numbers. */
  readonly relativeErrors: Readonly<Record<string, number>>;
  /** The quantizer of the frozen weights in training, in words; null for float32. The exact weights are written. */
  readonly quantizer: string | null;
}

/**
 * Refuses a path at which no GGUF file can be written anew. @param inputs paths and names of what is read.
 * @throws ConfigError; CheckpointError if no file can be made there.
 */
export async function requireNewGguf(out: string, inputs: readonly (string | null)[]): Promise<void> {
  if (extension(out) !== ".gguf")
    throw new ConfigError(`${optionName("out")}: a GGUF model is one file; name it, as ${out}.gguf`);
  await requireNewFile(out, inputs);
}

/** The file to write, and what goes into it. */
interface GgufOptions {
  readonly out: string;
  readonly type: ExportedGguf["type"];
  /** Keys for where the model comes from. */
  readonly origin: ReadonlyMap<string, GgufValue>;
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** Tokens that llama.cpp demands of every model that is called Phi 3; it does not load the file without them. */
const PHI3_TOKENS = ["</s>", "<unk>", "<s>", "<|endoftext|>"];

/** The name of the model, that of its file; none where llama.cpp would take it for one that it is not. */
function nameOf(out: string, tokenizer: Tokenizer): [key: string, value: GgufValue][] {
  const value = baseName(out).slice(0, -extension(out).length);
  const isWhole = PHI3_TOKENS.every((token) => tokenizer.encode(token).length === 1);
  return /phi-?3/i.test(value) && !isWhole ? [] : [["general.name", { type: "string", value }]];
}

/**
 * Writes the merged model as a GGUF file, with its tokenizer and chat templates. Weights are read, merged, quantized
 * and written one after another.
 * @throws ModelError or ConfigError for a model or a tokenizer that llama.cpp does not have; CheckpointError as
 * `writeGguf`. Nothing is left behind then.
 */
export async function exportGguf(
  unmerged: UnmergedModel,
  { out, type, origin, onNotice }: GgufOptions,
): Promise<ExportedGguf> {
  const { source, baseFolder, tokenizerFolder, quantizer } = unmerged;
  const config = ggufConfigOf(source.config);
  const merged = mergedTensors(unmerged, "F32");
  const fileType = GGUF_FILE_TYPES[type];
  const tensors = ggufTensorsOf(merged, config, fileType);
  const tokenizer = await readTokenizer(tokenizerFolder);
  for (const notice of ggufTokenizerNotices(tokenizer)) onNotice?.(notice);
  const metadata = new Map<string, GgufValue>([
    ...config.metadata,
    ...nameOf(out, tokenizer),
    ...origin,
    ["general.file_type", { type: "uint32", value: fileType.number }],
    ["general.quantization_version", { type: "uint32", value: 2 }],
    ...ggufTokenizerOf(tokenizer, config.rows, await readEndIds(baseFolder)),
  ]);
  const errors = await writeGguf(out, { metadata, tensors }, { replace: false });
  const relative = [...errors].map(([name, { squares, lost }]) => [
    name,
    squares === 0 ? 0 : Math.sqrt(lost / squares),
  ]);
  return {
    format: "gguf",
    file: out,
    type,
    parameters: countParameters(merged),
    fileBytes: await fileSize(out),
    relativeErrors: Object.fromEntries(relative),
    quantizer,
  };
}
