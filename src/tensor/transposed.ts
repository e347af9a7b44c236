import type { TypedArray } from "./dtype.js";

/** The elements of a matrix, (rows, columns) row-major, in the order of its transpose, (columns, rows). */
export function transposedElements<T extends TypedArray | Uint16Array>(elements: T, rows: number, columns: number): T {
  const result = elements.slice() as T;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = elements[row * columns + column]!;
  }
  return result;
}
