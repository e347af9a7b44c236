/**
 * The signed dynamic 8-bit map of bitsandbytes (Dettmers et al. 2022, arXiv:2110.02861): 256 values from −0.993 to 1 in
 * ascending order. They are 2^i magnitudes spread evenly over the i-th of seven decades, the last of which ends at 1;
 * their negatives; 0 at index 127; and 1.
 */
export const DYNAMIC_MAP: Float32Array = dynamicMap();

function dynamicMap(): Float32Array {
  const magnitudes: number[] = [];
  for (let decade = 0; decade < 7; decade++) {
    const count = 2 ** decade;
    for (let k = 0; k < count; k++) magnitudes.push(10 ** (decade - 6) * (0.1 + (0.9 * (k + 0.5)) / count));
  }
  return Float32Array.from([...magnitudes.map((value) => -value).reverse(), 0, ...magnitudes, 1]);
}
