import { ModelError } from "../base/errors.js";
import type { LazyTensor, TensorToWrite } from "../files/lazy-tensor.js";
import type { GgufFileType } from "./file-types.js";
import type { WrittenGgufType } from "./quantizing.js";
import { ReorderedTensor, type RowOrder, shifted, swappedRows } from "./rearranged-tensor.js";
import { GGUF_TYPES } from "./types.js";
import type { GgufTensorToWrite } from "./write-gguf.js";
import type { WrittenConfig } from "./written-config.js";

/**
 * The tensors of a GGUF file for a model.
 * @param tensors by their names in Hugging Face folders, in the model's shapes.
 * @param type Vectors and positions are F32; the output projection of a model of 4 or 5 bits has more, as llama.cpp has
 * it, and a matrix whose rows are no whole blocks has another type.
 * @throws ModelError for tensors that have no place in the file.
 */
export function ggufTensorsOf(
  tensors: ReadonlyMap<string, TensorToWrite>,
  { architecture, heads, tensors: factors, numLayers }: WrittenConfig,
  type: GgufFileType,
): Map<string, GgufTensorToWrite> {
  const placeOf = ggufPlaces({ architecture, heads });
  const named = new Map<string, LazyTensor>();
  for (const [foreign, tensor] of tensors) {
    const { name, order, isNorm } = placeOf(foreign);
    const plain = lazy(tensor);
    const isShifted = isNorm && architecture.shiftsNorms === true;
    named.set(name, order !== undefined ? new ReorderedTensor(plain, order) : isShifted ? shifted(plain, 1) : plain);
  }
  const table = named.get("token_embd.weight");
  if (architecture.needsOutput === true && table !== undefined && !named.has("output.weight"))
    named.set("output.weight", table);
  const output = named.has("output.weight") ? "output.weight" : "token_embd.weight";
  const written = new Map<string, GgufTensorToWrite>();
  for (const [name, tensor] of factors) written.set(name, { tensor, type: "F32" });
  for (const [name, tensor] of named)
    written.set(name, { tensor, type: typeOf(name, tensor.shape, type, { output, numLayers }) });
  return written;
}

/** The place of a tensor in a GGUF file. */
export interface GgufPlace {
  readonly name: string;
  /** The order of its rows there, where it is another than in Hugging Face folders. */
  readonly order: RowOrder | undefined;
  /** True for the weight of a norm. */
  readonly isNorm: boolean;
}

/**
 * Finds the places of tensors, by their names in Hugging Face folders, in a file of the architecture.
 * @throws ModelError for tensors that have none.
 */
export function ggufPlaces({
  architecture,
  heads,
}: Pick<WrittenConfig, "architecture" | "heads">): (foreign: string) => GgufPlace {
  const patterns = new Map(Object.entries(architecture.tensors).map(([own, foreign]) => [foreign, own] as const));
  return (foreign) => {
    const [, before, layer, after, kind] = /^(.*?)(?:\.(\d+)\.(.*))?\.(weight|bias)$/.exec(foreign) ?? [];
    const pattern = patterns.get(layer === undefined ? before! : `${before}.*.${after}`);
    if (pattern === undefined) {
      throw new ModelError(
        `a GGUF file of ${architecture.name} has no place for "${foreign}"; export it as hf or onnx`,
      );
    }
    const axes = architecture.swapped?.(pattern, heads);
    return {
      name: `${pattern.replace("*", layer ?? "")}.${kind}`,
      order: axes && swappedRows({ ...axes, first: axes.second, second: axes.first }),
      isNorm: pattern.endsWith("norm") && kind === "weight",
    };
  };
}

function lazy(tensor: TensorToWrite): LazyTensor {
  const { dtype, shape } = tensor;
  return "data" in tensor ? { dtype, shape, read: async () => tensor.data } : tensor;
}

/** Types of 4 and 5 bits, in which llama.cpp holds no output projection. */
const FEW_BITS: readonly WrittenGgufType[] = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K"];

/** Types in place of those of large blocks, for rows that are no whole ones. */
const SMALLER_BLOCKS: Readonly<Partial<Record<WrittenGgufType, WrittenGgufType>>> = {
  Q4_K: "Q5_0",
  Q5_K: "Q5_1",
  Q6_K: "Q8_0",
};

function typeOf(
  name: string,
  shape: readonly number[],
  { matrices, isMixed = false }: GgufFileType,
  { output, numLayers }: { readonly output: string; readonly numLayers: number },
): WrittenGgufType {
  if (shape.length < 2 || name === "position_embd.weight") return "F32";
  const columns = shape.at(-1)!;
  const fits = (each: WrittenGgufType): boolean => columns % GGUF_TYPES[each].blockElements === 0;
  const hasMore = name === output ? FEW_BITS.includes(matrices) : isMixed && hasMoreBits(name, numLayers);
  const wanted = hasMore ? "Q6_K" : matrices;
  return [wanted, SMALLER_BLOCKS[wanted]].find((each) => each !== undefined && fits(each)) ?? "F16";
}

/** Parts of layers that are in 6 bits in some, in llama.cpp's mixes. */
const MORE_BITS = ["attn_v", "attn_qkv", "ffn_down"];

/** True for such a part of the first and the last eighth of the layers, and of every third between. */
function hasMoreBits(name: string, numLayers: number): boolean {
  const [, layer, part] = /^blk\.(\d+)\.(.*)\.weight$/.exec(name) ?? [];
  const eighth = Math.floor(numLayers / 8);
  const number = Number(layer);
  return (
    MORE_BITS.includes(part ?? "") &&
    (number < eighth || number >= Math.floor((7 * numLayers) / 8) || (number - eighth) % 3 === 2)
  );
}
