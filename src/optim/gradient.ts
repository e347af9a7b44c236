/** The gradient of one parameter: all its entries, or only the rows of a matrix that can be nonzero. */
export type Gradient = Float32Array | RowGradient;

/** A gradient that is zero except for some rows, as for an embedding table, of which a batch looks up few rows. */
export class RowGradient {
  /** Elements of the whole matrix. */
  readonly length: number;
  /** Elements per row. */
  readonly width: number;
  /** Rows that are stored, ascending, each once. */
  readonly indices: Int32Array;
  /** (indices.length, width). */
  readonly rows: Float32Array;

  /**
   * @param indices matrix row of each row in `rows`; repeated ones add up.
   * @param length elements of the whole matrix.
   */
  constructor(indices: Int32Array, rows: Float32Array, length: number) {
    this.length = length;
    this.width = rows.length / indices.length;
    this.indices = Int32Array.from(new Set(indices)).sort();
    const position = new Map(Array.from(this.indices, (index, i) => [index, i]));
    this.rows = new Float32Array(this.indices.length * this.width);
    indices.forEach((index, i) => {
      addInto(this.#row(position.get(index)!), rows.subarray(i * this.width, (i + 1) * this.width));
    });
  }

  /** Writes the entries from `start` on, zeros included, to `target`. */
  readInto(target: Float32Array, start: number): void {
    target.fill(0);
    const end = start + target.length;
    for (let i = lowerBound(this.indices, Math.floor(start / this.width)); i < this.indices.length; i++) {
      const at = this.indices[i]! * this.width;
      if (at >= end) return;
      const row = this.#row(i).subarray(Math.max(0, start - at), Math.min(this.width, end - at));
      target.set(row, Math.max(0, at - start));
    }
  }

  /** The sum with another gradient of the same matrix. */
  plus(other: RowGradient): RowGradient {
    const indices = new Int32Array([...this.indices, ...other.indices]);
    const rows = new Float32Array(this.rows.length + other.rows.length);
    rows.set(this.rows);
    rows.set(other.rows, this.rows.length);
    return new RowGradient(indices, rows, this.length);
  }

  #row(i: number): Float32Array {
    return this.rows.subarray(i * this.width, (i + 1) * this.width);
  }
}

/** Writes the entries from `start` on, zeros included, to `target`. */
export function copyGradient(gradient: Gradient, start: number, target: Float32Array): void {
  if (gradient instanceof RowGradient) gradient.readInto(target, start);
  else target.set(gradient.subarray(start, start + target.length));
}

/** All entries: those of a dense gradient itself, or a copy with the zeros. */
export function readGradient(gradient: Gradient): Float32Array {
  if (gradient instanceof Float32Array) return gradient;
  const entries = new Float32Array(gradient.length);
  gradient.readInto(entries, 0);
  return entries;
}

/** Adds two gradients of one parameter, both of the same kind. A dense `sum` is changed in place. */
export function addGradients(sum: Gradient, gradient: Gradient): Gradient {
  if (sum instanceof RowGradient) return sum.plus(gradient as RowGradient);
  addInto(sum, gradient as Float32Array);
  return sum;
}

/** Entries that can be nonzero. */
export function storedEntries(gradient: Gradient): Float32Array {
  return gradient instanceof Float32Array ? gradient : gradient.rows;
}

/**
 * Frees the memory of a gradient, which must not be used afterwards. Arrays returned by a device are large, and old by
 * then: left to the garbage collector, those of two steps would be held at once.
 */
export function discardGradient(gradient: Gradient): void {
  const buffer = storedEntries(gradient).buffer as ArrayBuffer;
  // Moves the memory to an object that dies young.
  structuredClone(buffer, { transfer: [buffer] });
}

function addInto(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}

/** Index of the first entry that is at least `value` in an ascending array. */
function lowerBound(ascending: Int32Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
