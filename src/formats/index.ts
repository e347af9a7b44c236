export { type LazyTensor, storeAs, type TensorToWrite } from "../files/lazy-tensor.js";
export {
  type OpenSafetensors,
  openSafetensors,
  readSafetensors,
  type Safetensors,
  writeSafetensors,
} from "../files/safetensors.js";
export type { SafetensorsDType } from "../files/safetensors-header.js";
export type { StoredTensor } from "../files/stored-tensor.js";
export { hashModelFolder } from "./base-hash.js";
export {
  bitsandbytesTensors,
  quantizedWeightNames,
  readBitsandbytes,
  type StoredFourBitWeight,
  type StoredInt8Weight,
  type StoredQuantizedWeight,
} from "./bitsandbytes.js";
export {
  type ModelFolder,
  type ModelFolderContent,
  type OpenModelFolder,
  openModelFolder,
  readModelFolder,
  writeModelFolder,
} from "./model-folder.js";
export { type PeftAdapter, type PeftBase, type ReadPeftAdapter, readPeftAdapter, writePeftAdapter } from "./peft.js";
export type { LoraPair, PeftTensor, PeftTensors } from "./peft-tensors.js";
export { type AnnouncedQuantization, parseQuantizationConfig, quantizationConfig } from "./quantization-config.js";
