import { crc32 } from "../../src/platform/browser-inflate.js";

/** A file in a zip file. */
export interface ZippedFile {
  readonly name: string;
  readonly size: number;
  /** @throws Error in words for the visitor, at the end, if it is not what was put in. */
  pieces(): AsyncIterable<Uint8Array>;
}

const END_BYTES = 22;
const MOST_COMMENT = 65_535;
const [END, ENTRY] = [0x06054b50, 0x02014b50];
const [STORED, DEFLATED] = [0, 8];

/**
 * The files of a zip file by its directory, without reading them. Folders are left out.
 * @throws Error in words for the visitor.
 */
export async function filesIn(zip: Blob): Promise<ZippedFile[]> {
  const tailStart = Math.max(0, zip.size - END_BYTES - MOST_COMMENT);
  const tail = await viewOf(zip.slice(tailStart));
  let end = tail.byteLength - END_BYTES;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw new Error("That is no zip file, or it is cut off.");
  const [count, length, start] = [
    tail.getUint16(end + 10, true),
    tail.getUint32(end + 12, true),
    tail.getUint32(end + 16, true),
  ];
  const directory = await viewOf(zip.slice(start, start + length));
  const files: ZippedFile[] = [];
  for (let at = 0; files.length < count && at + 46 <= directory.byteLength; ) {
    if (directory.getUint32(at, true) !== ENTRY) throw new Error("The directory of the zip file is damaged.");
    const method = directory.getUint16(at + 10, true);
    const [check, packed, size] = [16, 20, 24].map((offset) => directory.getUint32(at + offset, true)) as [
      number,
      number,
      number,
    ];
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) =>
      directory.getUint16(at + offset, true),
    ) as [number, number, number];
    const local = directory.getUint32(at + 42, true);
    const name = new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, nameLength));
    at += 46 + nameLength + extraLength + commentLength;
    files.push({ name, size, pieces: () => contentOf(zip, { name, local, method, packed, size, check }) });
  }
  return files.filter(({ name }) => !name.endsWith("/"));
}

/** A file as the directory has it. */
interface Entry {
  readonly name: string;
  /** Where it stands, in bytes. */
  readonly local: number;
  readonly method: number;
  readonly packed: number;
  readonly size: number;
  /** CRC-32 of its content. */
  readonly check: number;
}

async function* contentOf(zip: Blob, { name, local, method, packed, size, check }: Entry): AsyncGenerator<Uint8Array> {
  const head = await viewOf(zip.slice(local, local + 30));
  const start = local + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const content = zip.slice(start, start + packed).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
  if (method !== STORED && method !== DEFLATED) throw new Error(`${name}: is compressed in a way that is not known.`);
  const plain = method === STORED ? content : content.pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = plain.getReader();
  const damaged = (): Error => new Error(`${name}: is damaged in the zip file, or cut off.`);
  let [bytes, found] = [0, 0];
  while (true) {
    const { done, value } = await reader.read().catch(() => {
      throw damaged();
    });
    if (done) break;
    bytes += value.length;
    found = crc32(value, found);
    yield value;
  }
  if (bytes !== size || found !== check) throw damaged();
}

async function viewOf(blob: Blob): Promise<DataView<ArrayBuffer>> {
  return new DataView(await blob.arrayBuffer());
}
