import { type FileMetaData, parquetSchema, type RowGroup, readOffsetIndex } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { getTreePath, isFlatColumn } from "hyparquet/src/schema.js";

/** Bytes that a page's header has at most at first sight; those with long statistics have more. */
const HEADER = 2 ** 12;

/** A file, of which parts are read on request. */
export interface ParquetFile {
  readonly byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** Where a page of a column is, and the number of its first row in the group. */
interface PageLocation {
  readonly offset: bigint;
  readonly compressed_page_size: number;
  readonly first_row_index: bigint;
}

/** A group of rows, as far as the wanted columns go. */
export interface RowGroupSizes {
  readonly content: RowGroup;
  readonly rows: number;
  /** Bytes of values. */
  readonly bytes: number;
  readonly compressedBytes: number;
  readonly columns: readonly ColumnChunk[];
}

/** The part of a column in one group of rows. */
interface ColumnChunk {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** The index of its pages in the file; null if there is none. */
  readonly index: { readonly start: number; readonly end: number } | null;
  /** True if each row has one value. */
  readonly isFlat: boolean;
}

/** The groups of a file. @param names of the wanted columns. */
export function rowGroups(metadata: FileMetaData, names: ReadonlySet<string>): RowGroupSizes[] {
  const schema = parquetSchema(metadata);
  return metadata.row_groups.map((group) => {
    const columns: ColumnChunk[] = [];
    let [bytes, compressedBytes] = [0, 0];
    for (const { meta_data: chunk, offset_index_offset: at, offset_index_length: length } of group.columns) {
      if (chunk === undefined || !names.has(chunk.path_in_schema[0]!)) continue;
      const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
      bytes += Number(chunk.total_uncompressed_size);
      compressedBytes += Number(chunk.total_compressed_size);
      columns.push({
        name: chunk.path_in_schema.join("."),
        start,
        end: start + Number(chunk.total_compressed_size),
        index: at && length ? { start: Number(at), end: Number(at) + length } : null,
        isFlat: isFlatColumn(getTreePath(schema, chunk.path_in_schema)),
      });
    }
    return { content: group, rows: Number(group.num_rows), bytes, compressedBytes, columns };
  });
}

/**
 * The pages of each column of a group: from the index of the file, or else from the headers before them. Null if one
 * of the columns has lists and no index, since a header does not say how many rows begin in its page.
 */
export async function pagesOf(
  file: ParquetFile,
  { columns }: RowGroupSizes,
): Promise<Record<string, PageLocation[]> | null> {
  const pages: Record<string, PageLocation[]> = {};
  for (const column of columns) {
    const found = column.index === null ? await walkPages(file, column) : await indexedPages(file, column.index);
    if (found === null || found.length === 0) return null;
    pages[column.name] = found;
  }
  return pages;
}

async function indexedPages(
  file: ParquetFile,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<PageLocation[]> {
  const view = new DataView(await file.slice(start, end));
  return readOffsetIndex({ view, offset: 0 }).page_locations;
}

/** Goes from the header of each page to the next. */
async function walkPages(file: ParquetFile, { start, end, isFlat }: ColumnChunk): Promise<PageLocation[] | null> {
  const pages: PageLocation[] = [];
  let row = 0;
  for (let offset = start; offset < end - 1; ) {
    const { header, length } = await headerAt(file, offset, end);
    const size = length + header.compressed_page_size;
    if (!(header.compressed_page_size >= 0)) throw new Error(`a page of ${header.compressed_page_size} bytes`);
    if (header.type !== "DICTIONARY_PAGE") {
      const rows = header.data_page_header_v2?.num_rows ?? (isFlat ? header.data_page_header?.num_values : undefined);
      if (rows === undefined) return null;
      pages.push({ offset: BigInt(offset), compressed_page_size: size, first_row_index: BigInt(row) });
      row += rows;
    }
    offset += size;
  }
  return pages;
}

async function headerAt(
  file: ParquetFile,
  offset: number,
  end: number,
): Promise<{ header: ReturnType<typeof parquetHeader>; length: number }> {
  for (let bytes = HEADER; ; bytes *= 16) {
    const reader = { view: new DataView(await file.slice(offset, Math.min(offset + bytes, end))), offset: 0 };
    try {
      return { header: parquetHeader(reader), length: reader.offset };
    } catch (error) {
      if (offset + bytes >= end) throw error;
    }
  }
}
