/**
 * Σ x² of the float32 numbers from `start` to before `end`, in float64 and in a fixed order.
 * @param end a multiple of 32 bytes after `start`
 */
export function sumOfSquares(start: usize, end: usize): f64 {
  // Four sums that do not wait for each other.
  let a = f64x2.splat(0);
  let b = a;
  let c = a;
  let d = a;
  do {
    a = f64x2.add(a, squares(v128.load64_zero(start)));
    b = f64x2.add(b, squares(v128.load64_zero(start, 8)));
    c = f64x2.add(c, squares(v128.load64_zero(start, 16)));
    d = f64x2.add(d, squares(v128.load64_zero(start, 24)));
    start += 32;
  } while (start < end);
  const sums = f64x2.add(f64x2.add(a, b), f64x2.add(c, d));
  return f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
}

/** Of the first two float32 numbers. */
function squares(values: v128): v128 {
  const wide = f64x2.promote_low_f32x4(values);
  return f64x2.mul(wide, wide);
}
