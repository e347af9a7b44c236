import { baseName, exists, extension, folderOf, joinPath } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { checkpointFault } from "../files/faults.js";
import { GgufTensor } from "./gguf-tensor.js";
import { type GgufHeader, type GgufHeaderOptions, readGgufHeader } from "./header.js";
import type { GgufValue } from "./types.js";

/** Content of a GGUF file, to be read tensor by tensor. */
export interface OpenGguf {
  readonly version: number;
  /** That of the first part, where the file is split. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of the parts, and of the bytes in each. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** The file, or all its parts, with the names of the tensors in each. */
  readonly parts: ReadonlyMap<string, readonly string[]>;
  /** Length of all parts. */
  readonly fileBytes: number;
}

/** True for the name of a GGUF file. */
export function isGgufName(path: string): boolean {
  return extension(path) === ".gguf";
}

/** The end of the name of a part: its number, from 1, and that of all parts. */
const PART = /-(\d{5})-of-(\d{5})\.gguf$/;

/**
 * Checks a GGUF file of any size, so that its tensors can be read one by one. The first of several parts stands for all
 * of them, which lie beside it. Nothing stays open, so there is nothing to close.
 * @throws CheckpointError as `readGgufHeader`, and for parts that are missing or do not belong together.
 */
export async function openGguf(path: string, options?: GgufHeaderOptions): Promise<OpenGguf> {
  const first = await readGgufHeader(path, options);
  const { version, metadata } = first;
  const headers = new Map([[path, first]]);
  for (const part of await otherParts(path, metadata)) headers.set(part, await readGgufHeader(part));
  const tensors = new Map<string, GgufTensor>();
  const parts = new Map<string, readonly string[]>();
  const faults: string[] = [];
  let fileBytes = 0;
  for (const [part, header] of headers) {
    const stored = splitNumber(header.metadata, "split.no") ?? 0;
    if (stored !== parts.size) faults.push(`${baseName(part)} must have split.no ${parts.size}, not ${stored}`);
    parts.set(
      part,
      header.entries.map(({ name }) => name),
    );
    fileBytes += header.fileBytes;
    for (const entry of header.entries) {
      if (tensors.has(entry.name)) faults.push(`${baseName(part)} holds "${entry.name}", as a part before it does`);
      tensors.set(entry.name, new GgufTensor(part, header.fileBytes, entry));
    }
  }
  const wanted = splitNumber(metadata, "split.tensors.count") ?? tensors.size;
  if (wanted !== tensors.size) faults.push(`split.tensors.count is ${wanted}, but the parts hold ${tensors.size}`);
  if (faults.length > 0) throw checkpointFault(`${path}: its parts do not belong together`, faults);
  return { version, metadata, tensors, parts, fileBytes };
}

/** Paths of the second part and those after it. */
async function otherParts(path: string, metadata: GgufHeader["metadata"]): Promise<string[]> {
  const count = splitNumber(metadata, "split.count") ?? 1;
  if (count <= 1) return [];
  const name = baseName(path);
  const [end, number, of] = PART.exec(name) ?? [];
  const digits = (n: number): string => String(n).padStart(5, "0");
  const part = (n: number): string =>
    joinPath(folderOf(path), `${name.slice(0, -(end ?? ".gguf").length)}-${digits(n)}-of-${digits(count)}.gguf`);
  if (of !== digits(count)) {
    throw new CheckpointError(
      `${path} is one of ${count} parts, and must be named like ${baseName(part(1))}; give it the name that it ` +
        "came with",
    );
  }
  if (number !== digits(1)) throw new CheckpointError(`${path} is not the first of its parts; name ${part(1)}`);
  const others = Array.from({ length: count - 1 }, (_, i) => part(i + 2));
  const missing: string[] = [];
  for (const other of others) if (!(await exists(other))) missing.push(`${baseName(other)} is missing`);
  if (missing.length > 0) throw checkpointFault(`${path}: all parts must lie beside it`, missing);
  return others;
}

/** A number about parts; they are uint16 or int32. */
function splitNumber(metadata: GgufHeader["metadata"], key: string): number | undefined {
  const stored = metadata.get(key);
  if (stored === undefined || stored.type === "array") return undefined;
  return typeof stored.value === "number" ? stored.value : undefined;
}
