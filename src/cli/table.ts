/** Length of the longest text. There may be more of them than a call takes arguments. */
export function longest(texts: readonly string[]): number {
  return texts.reduce((most, { length }) => Math.max(most, length), 0);
}

/**
 * A table with a header in columns as wide as they must be.
 * @param align for each column `l` or `r`: to the left or to the right.
 */
export function tableLines(align: string, header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const table = [header, ...rows];
  const widths = header.map((_, column) => longest(table.map((row) => row[column]!)));
  const cellText = (cell: string, column: number): string =>
    align[column] === "r" ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return table.map((row) => row.map(cellText).join("  ").trimEnd());
}
