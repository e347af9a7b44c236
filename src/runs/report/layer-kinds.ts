/** Layers by their kind, the last part of their names, in the order in which kinds first come. */
export function byKind<T extends { readonly name: string }>(layers: readonly T[]): Map<string, T[]> {
  const kinds = new Map<string, T[]>();
  for (const layer of layers) {
    const kind = layer.name.slice(layer.name.lastIndexOf(".") + 1);
    kinds.set(kind, [...(kinds.get(kind) ?? []), layer]);
  }
  return kinds;
}

/** The mean of the values that are known, written by `format`; a dash without any. */
export function meanText(values: readonly (number | null)[], format: (value: number) => string): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? "–" : format(known.reduce((sum, value) => sum + value, 0) / known.length);
}
