import { baseName, extension } from "#platform";
import { CheckpointError } from "../base/errors.js";

const EXTENSIONS: readonly string[] = [".bin", ".pt", ".pth", ".ckpt"];

/** True if files of this name usually hold Python pickles. Reading one can run any program, so none is read. */
export function isPickleName(name: string): boolean {
  return EXTENSIONS.includes(extension(name)) && !baseName(name).startsWith("training_args");
}

/** The error that refuses pickle files, with the way out. */
export function pickleError(path: string, names: readonly string[]): CheckpointError {
  return new CheckpointError(
    `${path} holds its weights only as Python pickles (${names.join(", ")}), ` +
      "which can run any program when they are read; load it once in Python where you trust it " +
      "and save it with save_pretrained(folder, safe_serialization=True)",
  );
}
