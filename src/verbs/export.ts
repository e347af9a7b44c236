import { baseName } from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { FLOAT_DTYPES, type FloatDType, floatDType } from "../formats/quant-state.js";
import { requireNewFolder } from "../loading/output-folder.js";
import { type EXPORT_FORMATS, type ExportDtype, LOSS_TOKENS, ONNX_DTYPES, type OnnxDtype } from "./export-formats.js";
import { type ExportedGguf, exportGguf, requireNewGguf } from "./export-gguf.js";
import { type ExportedGgufAdapter, exportGgufAdapter } from "./export-gguf-adapter.js";
import { lossData } from "./export-loss.js";
import { type ExportedOnnx, exportOnnx } from "./export-onnx.js";
import { type ExportedAdapter, exportPeft } from "./export-peft.js";
import { ggufOriginOf } from "./gguf-origin.js";
import { type MergedModel, mergeTarget } from "./merge.js";
import { type Origin, openTarget, readBy, unmergedOf } from "./target.js";
import { hasChatTemplate, targetCard, writeFileCard } from "./target-card.js";

/** Options of {@link exportTarget}. */
export interface ExportOptions extends Origin {
  readonly to: (typeof EXPORT_FORMATS)[number];
  /** The folder to write, which must not hold anything yet; for gguf the file. */
  readonly out: string;
  /** Type of the matrices in a GGUF file. Default and null: q8_0, for an adapter f32. */
  readonly type?: ExportedGguf["type"] | null;
  /** Write the adapter alone, as a GGUF file for llama.cpp's `--lora`. Default: false. */
  readonly adapterOnly?: boolean;
  /**
   * Types of the weights of a whole model, several for onnx alone; null for the format's default. An adapter is always
   * float32.
   */
  readonly dtype: ExportDtype | readonly ExportDtype[] | null;
  /** Tokens that the losses of rounded onnx models are computed on; 0 for none. Default and null: 2048. */
  readonly lossTokens?: number | null;
}

/** A Hugging Face folder, written. */
export interface ExportedModel extends Omit<MergedModel, "modelFolder" | "verification"> {
  readonly format: "hf";
  readonly folder: string;
}

/**
 * Writes a checkpoint of a run, a PEFT adapter, or a model folder for other programs: as one PEFT adapter, as a plain
 * Hugging Face folder, as ONNX with a key-value cache, or as a GGUF file.
 * @throws ConfigError if `out` holds files already, and for what the format cannot hold; CheckpointError as
 * `mergeTarget`. Nothing is left behind then.
 */
export async function exportTarget(
  target: string,
  { to, out, dtype: asked, type = null, adapterOnly = false, lossTokens = null, ...origin }: ExportOptions,
): Promise<ExportedAdapter | ExportedModel | ExportedOnnx | ExportedGguf | ExportedGgufAdapter> {
  const dtype = asked === null || asked.length === 0 ? null : typeof asked === "string" ? [asked] : asked;
  if (type !== null && to !== "gguf")
    throw new ConfigError(
      `${optionName("type")} is for ${optionName("to")} gguf; the others have ${optionName("dtype")}`,
    );
  if (adapterOnly && to !== "gguf") {
    throw new ConfigError(
      `${optionName("adapterOnly")} is for ${optionName("to")} gguf; ${optionName("to", "peft")} writes an adapter`,
    );
  }
  if (
    lossTokens !== null &&
    lossTokens > 0 &&
    !(to === "onnx" && dtype?.some((each) => onnxDtype(each) !== "float32"))
  ) {
    throw new ConfigError(
      `${optionName("lossTokens")} is for ${optionName("to", "onnx")} with weights that are rounded, as of ` +
        `${optionName("dtype", "q8")}, whose loss it compares; leave it out`,
    );
  }
  await (to === "gguf" ? requireNewGguf : requireNewFolder)(out, readBy(target, origin));
  if (to === "gguf") {
    if (dtype !== null)
      throw new ConfigError(
        `${optionName("dtype")} is for ${optionName("to")} hf and onnx; gguf has ${optionName("type")}`,
      );
    const opened = await openTarget(target, origin);
    const written = await (adapterOnly
      ? exportGgufAdapter(opened, { out, type })
      : exportGguf(await unmergedOf(opened), {
          ...{ out, type: type ?? "q8_0", origin: await ggufOriginOf(opened) },
          onNotice: origin.onNotice,
        }));
    await writeFileCard(out, await targetCard(opened, { kind: written.format, file: baseName(out) }));
    return written;
  }
  if (to === "peft") {
    if (dtype !== null)
      throw new ConfigError(
        `${optionName("dtype")} is for ${optionName("to")} hf and onnx; an adapter is float32, so leave it out`,
      );
    if (origin.adapters !== undefined && origin.adapters.length > 0)
      throw new ConfigError(
        `${optionName("adapters")} is for ${optionName("to")} hf, onnx and gguf; ` +
          "an adapter is written from one run or adapter",
      );
    return exportPeft(await openTarget(target, origin), out);
  }
  if (to === "hf") {
    const options = { ...origin, out, dtype: floatOf(dtype), verify: false };
    const { modelFolder, verification: _, ...model } = await mergeTarget(target, options);
    return { format: "hf", folder: modelFolder, ...model };
  }
  const dtypes = [...new Set(dtype?.map(onnxDtype) ?? (["float32"] as const))];
  const opened = await openTarget(target, origin);
  const unmerged = await unmergedOf(opened);
  const tokens = lossTokens ?? LOSS_TOKENS;
  const ofLoss = tokens === 0 ? {} : { lossData: () => lossData(opened, unmerged, tokens) };
  const { name: dtypeName } = ONNX_DTYPES[dtypes[0]!];
  const form = { kind: "onnx", dtype: dtypeName, isChat: await hasChatTemplate(unmerged.tokenizerFolder) } as const;
  const card = await targetCard(opened, form, unmerged.baseFolder);
  return exportOnnx(unmerged, { out, dtypes, card, ...ofLoss });
}

/** @throws ConfigError for bfloat16. */
function onnxDtype(dtype: ExportDtype): OnnxDtype {
  if (dtype === "fp32") return "float32";
  if (dtype !== "bfloat16") return dtype;
  throw new ConfigError(
    `${optionName("dtype")}: ONNX files hold float32 or float16, got bfloat16, which few runtimes compute with`,
  );
}

/** The type of the one folder that holds plain weights. @throws ConfigError for several, and for rounded ones. */
function floatOf(dtypes: readonly ExportDtype[] | null): FloatDType | null {
  if (dtypes === null) return null;
  const names = { fp32: "float32", fp16: "float16" } as const;
  const [dtype, ...others] = dtypes.map((each) => floatDType(each in names ? names[each as "fp32" | "fp16"] : each));
  if (dtype !== undefined && others.length === 0) return dtype;
  throw new ConfigError(
    `${optionName("dtype")}: ${optionName("to")} hf takes one of ${FLOAT_DTYPES.join(", ")}, got ` +
      `${dtypes.join(", ")}; the others are for ${optionName("to")} onnx`,
  );
}
