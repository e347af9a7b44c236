import { baseName, extension } from "#platform";
import { CheckpointError } from "../base/errors.js";

const EXTENSIONS: readonly string[] = [".bin", ".pt", ".pth", ".ckpt"];

/** Whether a file of this name holds Python pickles by custom. Reading one can run any program, so none is read. */
export function isPickleName(name: string): boolean {
  return EXTENSIONS.includes(extension(name)) && !baseName(name).startsWith("training_args");
}

/** The refusal of pickle files, with the way out. */
export function pickleError(path: string, names: readonly string[]): CheckpointError {
  return new CheckpointError(
    `${path} holds its weights only as Python pickles (${names.join(", ")}), which can run any program when they are read; ` +
      "load it once in Python where you trust it and save it with save_pretrained(folder, safe_serialization=True)",
  );
}
