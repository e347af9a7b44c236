const { fround } = Math;

/**
 * The signed dynamic 8-bit map of bitsandbytes (Dettmers et al. 2022, arXiv:2110.02861): 256 values from −0.993 to 1 in
 * ascending order. They are 2^i magnitudes spread evenly over the i-th of seven decades, the last of which ends at 1;
 * their negatives; 0 at index 127; and 1. Each rounding to float32 is one that bitsandbytes makes, so the bits are its.
 */
export const DYNAMIC_MAP: Float32Array = dynamicMap();

function dynamicMap(): Float32Array {
  const magnitudes: number[] = [];
  for (let decade = 0; decade < 7; decade++) {
    const bounds = evenly(0.1, 1, 2 ** decade + 1);
    const scale = fround(10 ** (decade - 6));
    for (let k = 0; k < 2 ** decade; k++) magnitudes.push(fround(scale * fround((bounds[k]! + bounds[k + 1]!) / 2)));
  }
  return Float32Array.from([...magnitudes.map((value) => -value).reverse(), 0, ...magnitudes, 1]);
}

/** torch.linspace in float32: from both ends to the middle, a fused multiply and add for each number. */
function evenly(start: number, end: number, count: number): Float32Array {
  const [first, last] = [fround(start), fround(end)];
  const step = fround(fround(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) ? first + step * i : last - step * (count - 1 - i),
  );
}
