/**
 * In all lanes, the bits of the largest |x| of the float32 numbers from `start` to before `end`, a multiple of 64 bytes
 * after it. Without the sign, bits have the order of the magnitudes, and NaN, which is lost in comparisons of floats,
 * comes out on top.
 */
export function largestMagnitude(start: usize, end: usize): v128 {
  let largest = i32x4.splat(0);
  do {
    largest = larger(largest, magnitude(v128.load(start)));
    largest = larger(largest, magnitude(v128.load(start, 16)));
    largest = larger(largest, magnitude(v128.load(start, 32)));
    largest = larger(largest, magnitude(v128.load(start, 48)));
    start += 64;
  } while (start < end);
  largest = larger(largest, i32x4.shuffle(largest, largest, 2, 3, 0, 1));
  return larger(largest, i32x4.shuffle(largest, largest, 1, 2, 3, 0));
}

function magnitude(bits: v128): v128 {
  return v128.and(bits, i32x4.splat(0x7fffffff));
}

function larger(a: v128, b: v128): v128 {
  return i32x4.max_u(a, b);
}
