import { ModelError } from "../../base/errors.js";
import type { LazyTensor, TensorToWrite } from "../lazy-tensor.js";
import type { GgufArchitecture, Heads } from "./architectures.js";
import type { WrittenGgufType } from "./quantizing.js";
import { ReorderedTensor, shifted, swappedRows } from "./rearranged-tensor.js";
import { GGUF_TYPES } from "./types.js";
import type { GgufTensorToWrite } from "./write-gguf.js";
import type { WrittenConfig } from "./written-config.js";

/** `general.file_type` by the type of most tensors. */
export const FILE_TYPE: Readonly<Partial<Record<WrittenGgufType, number>>> = {
  ...{ F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q8_0: 7, Q5_0: 8, Q5_1: 9, Q6_K: 18, BF16: 32 },
};

/**
 * The tensors of a GGUF file for a model.
 * @param tensors by their names in Hugging Face folders, in the model's shapes.
 * @param type of the matrices. Vectors and positions are F32; the output projection of a model of 4 or 5 bits has more,
 * as llama.cpp has it, and a matrix whose rows are no whole blocks is F16.
 * @throws ModelError for tensors that have no place in the file.
 */
export function ggufTensorsOf(
  tensors: ReadonlyMap<string, TensorToWrite>,
  { architecture, heads, tensors: factors }: WrittenConfig,
  type: WrittenGgufType,
): Map<string, GgufTensorToWrite> {
  const patterns = new Map(Object.entries(architecture.tensors).map(([own, foreign]) => [foreign, own] as const));
  const named = new Map<string, LazyTensor>();
  for (const [foreign, tensor] of tensors) {
    const [, before, layer, after, kind] = /^(.*?)(?:\.(\d+)\.(.*))?\.(weight|bias)$/.exec(foreign) ?? [];
    const pattern = patterns.get(layer === undefined ? before! : `${before}.*.${after}`);
    if (pattern === undefined)
      throw new ModelError(
        `a GGUF file of ${architecture.name} has no place for "${foreign}"; export it as hf or onnx`,
      );
    named.set(`${pattern.replace("*", layer ?? "")}.${kind}`, rearranged(pattern, kind!, tensor, architecture, heads));
  }
  const table = named.get("token_embd.weight");
  if (architecture.needsOutput === true && table !== undefined && !named.has("output.weight"))
    named.set("output.weight", table);
  const output = named.has("output.weight") ? "output.weight" : "token_embd.weight";
  const written = new Map<string, GgufTensorToWrite>();
  for (const [name, tensor] of factors) written.set(name, { tensor, type: "F32" });
  for (const [name, tensor] of named) written.set(name, { tensor, type: typeOf(name, tensor.shape, type, output) });
  return written;
}

function rearranged(
  pattern: string,
  kind: string,
  tensor: TensorToWrite,
  { swapped, shiftsNorms }: GgufArchitecture,
  heads: Heads,
): LazyTensor {
  const axes = swapped?.(pattern, heads);
  const { dtype, shape } = tensor;
  const plain: LazyTensor = "data" in tensor ? { dtype, shape, read: async () => tensor.data } : tensor;
  if (axes !== undefined) {
    return new ReorderedTensor(plain, swappedRows({ ...axes, first: axes.second, second: axes.first }));
  }
  return shiftsNorms === true && pattern.endsWith("norm") && kind === "weight" ? shifted(plain, 1) : plain;
}

/** Types of 4 and 5 bits, in which llama.cpp holds no output projection. */
const FEW_BITS: readonly WrittenGgufType[] = ["Q4_0", "Q4_1", "Q5_0", "Q5_1"];

function typeOf(name: string, shape: readonly number[], type: WrittenGgufType, output: string): WrittenGgufType {
  if (shape.length < 2 || name === "position_embd.weight") return "F32";
  const columns = shape.at(-1)!;
  const fits = (each: WrittenGgufType): boolean => columns % GGUF_TYPES[each].blockElements === 0;
  const wanted: readonly WrittenGgufType[] =
    name === output && FEW_BITS.includes(type) ? ["Q6_K", "Q8_0"] : type === "Q6_K" ? ["Q6_K", "Q8_0"] : [type];
  return wanted.find(fits) ?? "F16";
}
